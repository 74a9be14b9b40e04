"""Where an upstream lives: scheme, host and port of a URL (RFC 6454, RFC 9110 §4.2)."""

import re
from typing import Self
from urllib.parse import urlsplit

import msgspec

_DEFAULT_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")


class Origin(msgspec.Struct, frozen=True):
    """The scheme, host and port that requests of one transport go to; `host` has no brackets."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> Self:
        """Return the origin of an http or https URL, whose path counts for nothing here.

        Raises ValueError for another scheme, a URL with user information, or no usable host.
        """
        parts = urlsplit(url)
        if parts.scheme not in _DEFAULT_PORTS:
            raise ValueError(f"an upstream's URL begins with http:// or https://, not {url[:8]!r}")
        if parts.username is not None or parts.password is not None:
            raise ValueError("an upstream's URL holds no credentials: send them as a header")
        host = parts.hostname or ""
        if not host.isascii():
            host = host.encode("idna").decode("ascii")
        if not _HOST.fullmatch(host):
            raise ValueError(f"an upstream's URL needs a host name or an address, not {host!r}")
        port = _DEFAULT_PORTS[parts.scheme] if parts.port is None else parts.port
        if port == 0:
            raise ValueError("an upstream's URL needs a port that can be connected to, not 0")
        return cls(parts.scheme, host, port)

    @property
    def secure(self) -> bool:
        """Whether the origin is reached over TLS."""
        return self.scheme == "https"

    @property
    def authority(self) -> str:
        """The value of Host: an IPv6 address in brackets, the scheme's own port left out."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _DEFAULT_PORTS[self.scheme] else f"{host}:{self.port}"
