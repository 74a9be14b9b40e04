"""TLS towards upstreams: always verified."""

import asyncio
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


def closed_by_peer(transport: asyncio.BaseTransport) -> bool:
    """Return whether the peer itself has ended what it sends, after a connection's end.

    Over TLS that takes its closing alert: a bare end of the TCP stream may be anybody's, and a body
    that only the connection delimits is then incomplete (RFC 9112 §9.8). Event loops do not tell.
    """
    tls = transport.get_extra_info("ssl_object")
    if tls is None:
        return True
    try:
        return not tls.read(1)
    except ssl.SSLZeroReturnError:
        return True
    except ssl.SSLError:
        return False
