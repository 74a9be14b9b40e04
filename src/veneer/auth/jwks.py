"""JWKS: an issuer's key set, fetched from its URL, kept, and fetched anew when it is old."""

import asyncio
import ipaddress
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from importlib import import_module
from time import monotonic
from typing import Any
from urllib.parse import urlsplit

import msgspec

from veneer.auth.jose import TokenError
from veneer.auth.key_set import KeySet

logger = logging.getLogger("veneer.auth")

MAX_SIZE = 256 * 1024

HEADERS = {
    "accept": "application/jwk-set+json, application/json",
    # Nothing to unpack: a small answer stays small.
    "accept-encoding": "identity",
}


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """How long a key set is used, in seconds.

    From the age of `ttl` on it is fetched anew while it is used; up to the age of `keep` it is used
    where that fails. Between two attempts lies `cooldown` at least, whatever key ids arrive; one
    attempt may take `timeout`.
    """

    ttl: float = 300.0
    keep: float = 86400.0
    cooldown: float = 10.0
    timeout: float = 5.0


class Jwks:
    """The key set behind a URL (https, or http on this machine).

    `client` is an `httpx.AsyncClient` to fetch it with, in place of one of its own. `generation`
    grows with every set fetched. `clock` (seconds) stands in for time in tests. Raises ValueError
    for a URL that cannot be used.
    """

    def __init__(
        self,
        url: str,
        *,
        freshness: Freshness | None = None,
        client: Any = None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        _check(url)
        self._url = url
        self._freshness = freshness or Freshness()
        self._given = client
        self._client: Any = client
        self._clock = clock
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._tried_at: float | None = None
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None
        self.generation = 0

    async def find(self, key_id: str | None, algorithm: str) -> Sequence[Any] | None:
        """Return the keys that may have signed a token; None while nobody can tell.

        An unknown id is looked for in a set newly fetched, but only so often, and once for all who
        ask at the same time.
        """
        keys = self._usable()
        found = () if keys is None else keys.find(key_id, algorithm)
        if found or (keys is not None and key_id is None):
            self._freshen()
            return found
        if self._under_way() or self._may_try():
            await asyncio.shield(self._fetch())
            keys = self._usable()
            found = () if keys is None else keys.find(key_id, algorithm)
        if found:
            return found
        return None if self._failed or keys is None else ()

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Fetch the first set beside the start, and end what is under way at the end."""
        first = self._fetch()
        try:
            yield
        finally:
            last, self._fetching = self._fetching or first, None
            last.cancel()
            await asyncio.wait({last})
            client, self._client = self._client, self._given
            if client is not None and client is not self._given:
                await client.aclose()

    def _usable(self) -> KeySet | None:
        old = self._clock() - self._fetched_at > self._freshness.keep
        return None if old else self._keys

    def _freshen(self) -> None:
        """Begin to fetch a new set where this one is old, without waiting for it."""
        old = self._clock() - self._fetched_at > self._freshness.ttl
        if old and self._may_try():
            self._fetch()

    def _may_try(self) -> bool:
        tried = self._tried_at
        return tried is None or self._clock() - tried >= self._freshness.cooldown

    def _under_way(self) -> bool:
        return self._fetching is not None and not self._fetching.done()

    def _fetch(self) -> asyncio.Task[None]:
        """Return the attempt that is under way, begun now if there is none."""
        if self._fetching is None or self._fetching.done():
            self._fetching = asyncio.get_running_loop().create_task(self._attempt())
        return self._fetching

    async def _attempt(self) -> None:
        httpx = import_module("httpx")
        try:
            async with asyncio.timeout(self._freshness.timeout):
                self._keys = KeySet(await self._document(httpx))
        # OSError covers the timeout, and authorities of TLS that cannot be read.
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TokenError) as error:
            self._failed = True
            # Its own sentence may quote what the other side sent.
            logger.warning(
                "the key set of %s was not fetched (%s: %s)",
                urlsplit(self._url).hostname,
                type(error).__name__,
                error if isinstance(error, TokenError) else "see the network",
            )
        else:
            self._failed = False
            self._fetched_at = self._clock()
            self.generation += 1
        finally:
            self._tried_at = self._clock()

    async def _document(self, httpx: Any) -> bytes:
        if self._client is None:
            self._client = httpx.AsyncClient(timeout=self._freshness.timeout)
        request = self._client.stream("GET", self._url, headers=HEADERS, follow_redirects=False)
        async with request as response:
            if response.status_code != HTTPStatus.OK:
                raise TokenError(f"it was answered with status {response.status_code}")
            if response.headers.get("content-encoding", "identity") != "identity":
                raise TokenError("it came compressed, unasked")
            document = b""
            async for part in response.aiter_raw():
                document += part
                if len(document) > MAX_SIZE:
                    raise TokenError("it is too large")
        return document


def _check(url: str) -> None:
    parts = urlsplit(url)
    host = parts.hostname or ""
    plain = parts.scheme == "http" and _is_loopback(host)
    # A port that is none raises a ValueError of its own.
    if (
        not host
        or parts.port == 0
        or not (plain or parts.scheme == "https")
        or parts.username is not None
    ):
        # Without the URL: it may hold a password.
        raise ValueError(
            "The URL of the key set has to be https://host/path (http only on this machine), "
            "without a user name or a password."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
