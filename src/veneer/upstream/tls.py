"""TLS towards upstreams: always verified."""

import ssl
from pathlib import Path

ALPN_HTTP_1_1 = "http/1.1"


def client_context(ca_file: str | Path | None = None) -> ssl.SSLContext:
    """Return a context that verifies certificate and host name, and offers HTTP/1.1 by ALPN.

    Trusted are the authorities of the system, or only those of `ca_file` (PEM) where it is given.
    Raises ValueError when that file cannot be used. There is no switch that turns verification off:
    who needs that builds an `ssl.SSLContext` of their own.
    """
    try:
        context = ssl.create_default_context(cafile=ca_file)
    except OSError as error:
        raise ValueError(
            f"ca_file must name a readable file of PEM certificates, and {ca_file} is not: {error}"
        ) from error
    context.set_alpn_protocols([ALPN_HTTP_1_1])
    return context
