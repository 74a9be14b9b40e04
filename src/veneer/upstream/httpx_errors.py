"""What an httpx client raises, as the errors of a transport."""

import sys
from types import MappingProxyType
from typing import cast

from veneer.upstream.transport import (
    ConnectFailed,
    ConnectTimeout,
    HeaderTimeout,
    MalformedResponse,
    PoolTimeout,
    ReadTimeout,
    TransportError,
    Truncated,
    WriteTimeout,
)

_BY_NAME = MappingProxyType(
    {
        "ConnectTimeout": ConnectTimeout,
        "WriteTimeout": WriteTimeout,
        "PoolTimeout": PoolTimeout,
        "ConnectError": ConnectFailed,
        "ProxyError": ConnectFailed,
        "UnsupportedProtocol": ConnectFailed,
        "NetworkError": Truncated,
    }
)


class HttpxErrors:
    """The exceptions of the package that the class of `client` comes from.

    Raises TypeError when that is neither httpx nor one that is built like it.
    """

    def __init__(self, client: object) -> None:
        for cls in type(client).__mro__:
            module = sys.modules[cls.__module__.partition(".")[0]]
            if cls.__name__ == "AsyncClient" and hasattr(module, "TransportError"):
                self.transport_error = cast("type[Exception]", module.TransportError)
                self.invalid_url = cast("type[Exception]", module.InvalidURL)
                return
        raise TypeError(f"an httpx.AsyncClient or one like it is needed, not {type(client)}")

    @staticmethod
    def translated(error: Exception, *, answered: bool) -> TransportError:
        """Return our form of a `transport_error`; `answered` says whether a header had come."""
        # Its class may be one that a user's transport derived from httpx's.
        names = [cls.__name__ for cls in type(error).__mro__]
        text = f"{type(error).__name__}: {error}"
        if "ReadTimeout" in names:
            return ReadTimeout(text) if answered else HeaderTimeout(text)
        if "RemoteProtocolError" in names:
            # Only its text tells an end that came too early from bytes that make no sense.
            early = "disconnected" in text or "closed connection" in text
            return Truncated(text) if early else MalformedResponse(text)
        return next((_BY_NAME[name] for name in names if name in _BY_NAME), TransportError)(text)
