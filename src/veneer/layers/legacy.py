"""Legacy: routes that have moved send their callers on.

Answers 308, which keeps method and body, on the paths that it was given; everything else passes.
Needs no facts, and writes none. Stands right below what stamps every response, above what asks for
keys: a path that has moved is none of anybody's.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from email.utils import format_datetime

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.dialects import OPENAI, Dialect
from veneer.layer import Layer
from veneer.paths import path_of

MOVED = 308

# Two slashes in front would name another server.
_POSSIBLE = re.compile(r"/(?!/)[A-Za-z0-9._~/-]*", re.ASCII).fullmatch


class Moved(msgspec.Struct, frozen=True):
    """Where a route is now, and the day (UTC) from whose beginning on it may be gone."""

    to: str
    sunset: date | None = None


class LegacyMiddleware(Layer):
    """Sends callers of the paths of `routes` on to where those have moved, query and all.

    The answer has the dialect's field for what is deprecated, and `Sunset` (RFC 8594) where a day
    is known; the route answers beyond it, until it is taken out. Raises ValueError for what is no
    path, and for one that leads to itself or to another.
    """

    def __init__(self, app: ASGIApp, *, routes: Mapping[str, Moved]) -> None:
        super().__init__(app)
        for path, moved in routes.items():
            for each in (path, moved.to):
                if not _POSSIBLE(each):
                    raise ValueError(
                        f"{each!r} is no path of a route: give one such as '/v1/old', of letters, "
                        "digits, '.', '_', '~', '-' and '/'."
                    )
            if moved.to in routes:
                raise ValueError(f"{path!r} has moved to {moved.to!r}, which has moved, too.")
        self._routes = {path: (each.to, _sunset(each.sunset)) for path, each in routes.items()}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the caller of such a path on; pass on all others."""
        found = self._routes.get(path_of(scope))
        if found is None:
            await self.below(scope, receive, send)
            return
        to, sunset = found
        query = scope.get("query_string") or b""
        # A host may have its root from the request's own path.
        path = "/" + (scope.get("root_path", "") + to).lstrip("/")
        place = path.encode() + (b"?" + query if query else b"")
        deprecated = (facts.get(scope, Dialect) or OPENAI).deprecated
        headers = [(b"location", place), deprecated, *sunset, (b"content-length", b"0")]
        await send({"type": "http.response.start", "status": MOVED, "headers": headers})
        await send({"type": "http.response.body", "body": b""})


def _sunset(day: date | None) -> tuple[tuple[bytes, bytes], ...]:
    if day is None:
        return ()
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return ((b"sunset", format_datetime(midnight, usegmt=True).encode()),)
