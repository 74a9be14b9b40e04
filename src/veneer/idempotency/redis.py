"""The store in Redis: recordings shared by machines, one round trip for each call."""

import asyncio
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib import import_module
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import msgspec

from veneer.idempotency.store import (
    Claim,
    Done,
    InFlight,
    Recording,
    StoreUnavailableError,
    UnreadableRecordingError,
)

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

DEFAULT_PREFIX = "veneer"
DEFAULT_TIMEOUT = 2.0
_CONNECTIONS = 32
# Ten years, in milliseconds.
_LONGEST = 315_360_000_000


class _Head(msgspec.Struct, array_like=True):
    """What a recording has besides its body."""

    status: int
    headers: tuple[tuple[bytes, bytes], ...]


class RedisRecordingStore:
    """Keeps recordings in Redis or Valkey (5 or newer), by one script on the server's clock.

    `server` is a URL (`redis:`, `rediss:`, `unix:`; `redis+cluster:` for a cluster, where all
    entries are in one slot, hence on one node) or a client of redis-py's asyncio, which stays the
    caller's. All keys begin with `{prefix}`, and all expire.

    No call takes longer than `timeout` seconds; `StoreUnavailableError` may mean that it was done
    and nobody heard of it. There are `max_connections` at most; calls beyond wait for their turn. A
    call that is cancelled goes on to its end by itself.

    Tokens are the server's time: those from before it lost everything stay void. What it loses (a
    failover, an eviction) is as if it had never been: claims are lost, and calls run anew. Give it
    `maxmemory-policy noeviction`, and room for the answers of one `ttl`.

    Raises ValueError for options that cannot be, or where the package's extra is missing.
    """

    def __init__(
        self,
        server: "str | Redis | RedisCluster",
        *,
        prefix: str = DEFAULT_PREFIX,
        timeout: float = DEFAULT_TIMEOUT,
        max_connections: int = _CONNECTIONS,
    ) -> None:
        if not prefix or set("{}") & set(prefix):
            raise ValueError(f"A prefix of keys is not empty and has no braces, unlike {prefix!r}.")
        if not 0 < timeout < math.inf:
            raise ValueError(f"A store's timeout is a positive number of seconds, not {timeout}.")
        if max_connections < 1:
            raise ValueError(f"max_connections is at least 1, not {max_connections}.")
        try:
            import_module("redis")
        except ModuleNotFoundError as error:
            raise ValueError(
                f"RedisRecordingStore needs the package {error.name}: install veneer[redis]."
            ) from error
        # Not before the extra is known to be there.
        from veneer.stores.redis import RedisServer, Script  # noqa: PLC0415 - the client is an extra

        self._server = RedisServer(
            server,
            connections=max_connections,
            timeout=timeout,
            unavailable=StoreUnavailableError,
            lost=StoreUnavailableError,
        )
        self._script = Script(
            files("veneer.idempotency").joinpath("_recordings.lua").read_text(encoding="utf-8")
        )
        self._prefix = f"{{{prefix}}}:idempotency"
        self._head = msgspec.msgpack.Decoder(_Head)
        self._users = 0

    async def claim(
        self, key: bytes, fingerprint: bytes, lease: float, /
    ) -> Claim | InFlight | Done:
        """Claim a key, or tell what is there; see `RecordingStore`."""
        keys = [self._entry(key), f"{self._prefix}:token"]
        reply = await self._ask(keys, "claim", fingerprint, _milliseconds(lease))
        return self._found(reply) if isinstance(reply, list) else Claim(int(reply))

    async def look(self, key: bytes, /) -> InFlight | Done | None:
        """Tell what is there; see `RecordingStore`."""
        reply = await self._ask([self._entry(key)], "look")
        return None if reply is None else self._found(reply)

    async def renew(self, key: bytes, token: int, lease: float, /) -> bool:
        """Hold a claim for longer; see `RecordingStore`."""
        return bool(await self._ask([self._entry(key)], "renew", token, _milliseconds(lease)))

    async def commit(
        self, key: bytes, token: int, recording: Recording | None, ttl: float, /
    ) -> bool:
        """Keep an answer in place of a claim; see `RecordingStore`."""
        head, body = b"", b""
        if recording is not None:
            head = msgspec.msgpack.encode(_Head(recording.status, recording.headers))
            body = recording.body
        entry = [self._entry(key)]
        return bool(await self._ask(entry, "commit", token, _milliseconds(ttl), head, body))

    async def release(self, key: bytes, token: int, /) -> None:
        """Give a claim up; see `RecordingStore`."""
        await self._ask([self._entry(key)], "release", token)

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Use it; the last who leaves waits for the calls under way and closes its connections.

        Where nobody enters, connections are opened as they are needed and stay.
        """
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self._server.aclose()

    def _entry(self, key: bytes) -> str:
        return f"{self._prefix}:{key.hex()}"

    async def _ask(self, keys: Sequence[str], *arguments: str | bytes | int) -> Any:
        return await asyncio.shield(await self._server.send(self._script, keys, arguments))

    def _found(self, reply: Sequence[Any]) -> InFlight | Done:
        fingerprint, *rest = reply
        if len(rest) == 1:
            return InFlight(fingerprint, max(rest[0], 0) / 1000)
        head, body = rest
        if not head:
            return Done(fingerprint, None)
        try:
            known = self._head.decode(head)
        except msgspec.DecodeError as error:
            raise UnreadableRecordingError(
                "Redis has a recording that cannot be read: was it written by another version?"
            ) from error
        return Done(fingerprint, Recording(known.status, known.headers, body))


def _milliseconds(seconds: float) -> int:
    return max(math.ceil(min(seconds * 1000, _LONGEST)), 1)
