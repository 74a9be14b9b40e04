"""The client's side of a call: the one owner of `receive()`.

ASGI's `receive()` can have only one reader (a server may deliver `http.disconnect` once), and many
ask: for the body, for the end of the connection, for both. The outermost layer makes one `Client` a
request, and everybody below asks it.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from types import CoroutineType
from typing import cast

from starlette.types import Message, Receive, Scope

from veneer import facts
from veneer.begun import Begun
from veneer.lookout import Lookout
from veneer.while_connected import ClientDisconnectedError, WhileConnected

# What tells where a body ends.
FRAMING = frozenset([b"content-length", b"transfer-encoding"])

DISCONNECT = "http.disconnect"

# An integer of more digits is no length that anything could have.
MAX_DIGITS = 19


class BodyTooLargeError(Exception):
    """The client's body is over the limit that was asked for."""


class BodyTimeoutError(Exception):
    """The client stopped sending in the middle of its body."""


class Client:
    """Who is on the other end of a request: its body, and whether it is still there.

    `receive` is the server's; `idle_timeout` (seconds) bounds the wait for each part of the body.
    Who makes many has a `lookout` for all of them: a watcher costs a task, so only calls that last
    get one.
    `self.receive` is what layers hand down in its place. A client that leaves is noticed while
    its body is read, and from the end of the body on: so whoever wants to know reads the body.
    """

    __slots__ = (
        "_body",
        "_closed",
        "_complete",
        "_handed",
        "_idle_timeout",
        "_inspect",
        "_keep",
        "_left_at",
        "_listeners",
        "_lookout",
        "_over",
        "_parts",
        "_reader",
        "_receive",
        "_size",
        "_timed_out",
        "_timer",
        "_waiting_since",
        "_watcher",
    )

    def __init__(
        self, receive: Receive, *, idle_timeout: float = 30.0, lookout: Lookout | None = None
    ) -> None:
        self._receive = receive
        self._lookout = Lookout() if lookout is None else lookout
        self._idle_timeout = idle_timeout
        self._body: bytes | None = None
        # What was read of a body that is not whole yet, and handed to nobody.
        self._parts: list[bytes] = []
        self._size = 0
        # Whether `receive` has handed down what was read, or a part that is kept nowhere.
        self._handed = False
        self._inspect: Callable[[bytes], object] | None = None
        # Whether nothing more of the body is to come.
        self._complete = False
        self._left_at: float | None = None
        self._over: asyncio.Event | None = None
        self._closed = False
        self._keep = 0.0
        self._listeners: list[Callable[[], None]] = []
        self._reader: asyncio.Task[object] | None = None
        self._waiting_since = 0.0
        self._timed_out = False
        self._timer: asyncio.TimerHandle | None = None
        self._watcher: asyncio.Task[None] | None = None

    @property
    def disconnected(self) -> bool:
        """Whether the client is known to have left."""
        return self._left_at is not None

    @property
    def kept(self) -> bytes:
        """The body, once it has been read whole and kept; else empty."""
        return self._body or b""

    async def body(self, limit: int) -> bytes:
        """Return the whole body, read once and kept: whoever reads below gets it again.

        Raises `BodyTooLargeError` beyond `limit` bytes (what was read until then is not lost to
        those below), `BodyTimeoutError`, `ClientDisconnectedError`, and RuntimeError where
        somebody below has taken a part of it already.
        """
        if self._body is None:
            if self._handed:
                raise RuntimeError("a part of the body has been read by somebody else")
            while not self._complete:
                if self._size > limit:
                    raise BodyTooLargeError
                await self._part()
            parts = self._parts
            self._body = parts[0] if len(parts) == 1 else b"".join(parts)
            self._parts = []
        if len(self._body) > limit:
            raise BodyTooLargeError
        return self._body

    async def _part(self) -> None:
        if self._left_at is not None or (message := await self._read())["type"] == DISCONNECT:
            raise ClientDisconnectedError
        part = bytes(message.get("body", b""))
        self._parts.append(part)
        self._size += len(part)

    @property
    def start(self) -> bytes:
        """As much of the body as was read, and handed to nobody."""
        return b"".join(self._parts) if self._body is None else self._body

    async def inspect(
        self, look: Callable[[bytes], object], *, until: Callable[[], object], limit: int
    ) -> None:
        """Have `look` see each part of the body, and read as many as it takes for `until`.

        What is read stays for those below. Those that come later are seen as they come, before
        whoever reads them: what `look` raises is raised there. Raises as `body` does.
        """
        if self._handed:
            raise RuntimeError("a part of the body has been read by somebody else")
        look(self.start)
        self._inspect = look
        while not (until() or self._complete):
            if self._size > limit:
                raise BodyTooLargeError
            await self._part()

    async def _read(self) -> Message:
        """Read the server's next message while the body is incomplete, within the idle timeout."""
        receiving = self._receive()
        if not isinstance(receiving, CoroutineType):
            return self._noted(await self._wait_for(receiving))
        try:
            waits_for = receiving.send(None)
        except StopIteration as done:
            # Most bodies are there already, and need no timer.
            return self._noted(done.value)
        return self._noted(await self._wait_for(Begun(receiving, waits_for)))

    async def _wait_for(self, receiving: Awaitable[Message]) -> Message:
        reader = self._reader = cast("asyncio.Task[object]", asyncio.current_task())
        cancelling = reader.cancelling()
        self._waiting_since = asyncio.get_running_loop().time()
        self._lookout.add(self)
        try:
            return await receiving
        except asyncio.CancelledError:
            timed_out, self._timed_out = self._timed_out, False
            if timed_out and reader.uncancel() <= cancelling:
                raise BodyTimeoutError from None
            raise
        finally:
            self._reader = None

    def _noted(self, message: Message) -> Message:
        if message["type"] == DISCONNECT:
            self._left()
            return message
        if not message.get("more_body", False):
            self._complete = True
            if self._listeners:
                self._lookout.add(self)
        if self._inspect is not None:
            self._inspect(message.get("body", b""))
        return message

    async def receive(self) -> Message:
        """Deliver the body, from memory where it was read, then wait for the disconnect."""
        if self._body is not None:
            if not self._handed:
                self._handed = True
                return {"type": "http.request", "body": self._body, "more_body": False}
        elif self._parts:
            self._handed = True
            body = b"".join(self._parts)
            self._parts.clear()
            return {"type": "http.request", "body": body, "more_body": not self._complete}
        elif not self._complete and self._left_at is None:
            self._handed = True
            return await self._read()
        if not self.disconnected and not self._closed:
            self._watch()
            await self._over_event().wait()
        return {"type": DISCONNECT}

    def replace_body(self, scope: Scope, body: bytes) -> Scope:
        """Hand another body down: return a copy of the scope with its content-length mended.

        What has not been read of the client's own is dropped.
        """
        self._body = body
        self._parts.clear()
        self._handed = False
        self._complete = True
        if self._listeners:
            self._lookout.add(self)
        headers = [pair for pair in scope["headers"] if pair[0] not in FRAMING]
        headers.append((b"content-length", b"%d" % len(body)))
        return {**scope, "headers": headers}

    def replace_start(self, scope: Scope, start: bytes) -> Scope:
        """Hand down another start of the body; what is still to come follows it.

        Returns a copy of the scope with its content-length mended, if it has one.
        """
        grown = len(start) - len(self.start)
        self._size += grown
        if self._body is None:
            self._parts = [start]
        else:
            self._body = start
        headers = [
            (name, b"%d" % (int(value) + grown))
            if name == b"content-length" and value.isdigit() and len(value) <= MAX_DIGITS
            else (name, value)
            for name, value in scope["headers"]
        ]
        return {**scope, "headers": headers}

    def drop_body(self) -> None:
        """Keep the body no longer: nobody below is to get it again."""
        if self._body is not None:
            self._body = b""
            self._handed = True

    def keep(self, seconds: float = math.inf) -> None:
        """Ask that the call goes on this long after its client left; the longest wish counts."""
        self._keep = max(self._keep, seconds)
        if self.disconnected:
            self._schedule()

    def hang_up(self) -> None:
        """End the call as if its client had left, although it still gets what is sent to it."""
        self._keep = 0.0
        self._left()

    def while_connected(self) -> WhileConnected:
        """Return a context in which a call is cancelled when its client leaves."""
        return WhileConnected(self)

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Call the listener once when the client has left, and what `keep` asked has passed.

        It is called from the event loop, never from inside another call of this class.
        """
        if self._closed:
            return
        self._listeners.append(listener)
        if self._left_at is not None:
            self._schedule()
        elif self._complete and self._watcher is None:
            self._lookout.add(self)

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back; one that was called already is no error."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def close(self) -> None:
        """Stop watching: the call is over, and nobody below is to wait for its client."""
        self._closed = True
        self._lookout.drop(self)
        self._disarm()
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        self._listeners.clear()
        if self._over is not None:
            self._over.set()

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def look(self) -> None:
        """Start the watcher, unless the body is still on its way: then see that it moves."""
        if self._reader is not None:
            if self._timer is None:
                self._mind_body()
        elif self._complete and self._listeners and self._left_at is None:
            self._watch()

    def _mind_body(self) -> None:
        self._timer = None
        if self._reader is None:
            return
        loop = asyncio.get_running_loop()
        left = self._idle_timeout - (loop.time() - self._waiting_since)
        if left > 0:
            self._timer = loop.call_later(left, self._mind_body)
        else:
            self._timed_out = True
            self._reader.cancel()

    def _watch(self) -> None:
        if self._watcher is None:
            self._watcher = asyncio.get_running_loop().create_task(self._await_disconnect())

    async def _await_disconnect(self) -> None:
        message = await self._receive()
        while message["type"] != DISCONNECT:
            message = await self._receive()
        self._left()

    def _left(self) -> None:
        self._left_at = asyncio.get_running_loop().time()
        self._over_event().set()
        self._schedule()

    def _schedule(self) -> None:
        """Call the listeners of a client that has left as soon as `keep` allows."""
        self._disarm()
        if self._listeners and self._left_at is not None and self._keep < math.inf:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._left_at + self._keep, self._notify)

    def _notify(self) -> None:
        self._timer = None
        listeners = self._listeners[:]
        self._listeners.clear()
        for listener in listeners:
            listener()

    def _over_event(self) -> asyncio.Event:
        if self._over is None:
            self._over = asyncio.Event()
        return self._over


def client_of(scope: Scope, receive: Receive, lookout: Lookout | None = None) -> Client:
    """Return the client of this request; the first to ask makes it from the server's `receive`."""
    known = facts.all_in(scope)
    client: Client | None = known.get(Client)
    if client is None:
        client = known[Client] = Client(receive, lookout=lookout)
    return client


__all__ = [
    "FRAMING",
    "MAX_DIGITS",
    "BodyTimeoutError",
    "BodyTooLargeError",
    "Client",
    "ClientDisconnectedError",
    "client_of",
]
