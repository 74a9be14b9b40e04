"""The client's side of a call: the one owner of `receive()`.

ASGI's `receive()` can have only one reader (a server may deliver `http.disconnect` once), and many
ask: for the body, for the end of the connection, for both. The outermost layer makes one `Client` a
request, and everybody below asks it.
"""

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Self, cast

from starlette.types import Message, Receive, Scope

from veneer import facts

# A watcher costs a task, so only calls that last this long (in seconds) get one.
WATCH_AFTER = 0.025


class ClientDisconnectedError(Exception):
    """The client closed its connection before its answer was whole."""


class BodyTooLargeError(Exception):
    """The client's body is over the limit that was asked for."""


class BodyTimeoutError(Exception):
    """The client stopped sending in the middle of its body."""


class Client:
    """Who is on the other end of a request: its body, and whether it is still there.

    `receive` is the server's; `idle_timeout` (seconds) bounds the wait for each part of the body.
    `self.receive` is what layers hand down in its place.
    """

    __slots__ = (
        "_body",
        "_complete",
        "_delivered",
        "_gone",
        "_idle_timeout",
        "_keep",
        "_listeners",
        "_reader",
        "_receive",
        "_timed_out",
        "_timer",
        "_waiting_since",
        "_watcher",
    )

    def __init__(self, receive: Receive, *, idle_timeout: float = 30.0) -> None:
        self._receive = receive
        self._idle_timeout = idle_timeout
        self._body: bytes | None = None
        self._delivered = False
        self._complete = False
        self._gone: asyncio.Event | None = None
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
        return self._gone is not None and self._gone.is_set()

    @property
    def kept(self) -> bytes:
        """The body as far as it was read and kept: whole once `body` has returned, else empty."""
        return self._body or b""

    async def body(self, limit: int) -> bytes:
        """Return the whole body, read once and kept: whoever reads below gets it again.

        Raises `BodyTooLargeError` beyond `limit` bytes, `BodyTimeoutError`, and
        `ClientDisconnectedError`.
        """
        if self._body is None:
            self._body = await self._read_body(limit)
        if len(self._body) > limit:
            raise BodyTooLargeError
        return self._body

    async def _read_body(self, limit: int) -> bytes:
        message = await self._next_part()
        if not message.get("more_body", False):
            return bytes(message.get("body", b""))
        parts = []
        size = 0
        while True:
            part = message.get("body", b"")
            size += len(part)
            if size > limit:
                raise BodyTooLargeError
            parts.append(part)
            if not message.get("more_body", False):
                return b"".join(parts)
            message = await self._next_part()

    async def _next_part(self) -> Message:
        message = await self._read()
        if message["type"] == "http.disconnect":
            raise ClientDisconnectedError
        return message

    async def _read(self) -> Message:
        """Read the server's next message while the body is incomplete, within the idle timeout."""
        reader = self._reader = cast("asyncio.Task[object]", asyncio.current_task())
        self._waiting_since = asyncio.get_running_loop().time()
        self._arm(WATCH_AFTER)
        try:
            message = await self._receive()
        except asyncio.CancelledError:
            if self._timed_out:
                self._timed_out = False
                if reader.uncancel() == 0:
                    raise BodyTimeoutError from None
            raise
        finally:
            self._reader = None
        if message["type"] == "http.disconnect":
            self._complete = True
            self._left()
        elif not message.get("more_body", False):
            self._complete = True
        return message

    async def receive(self) -> Message:
        """Deliver the body, from memory where it was read, then wait for the disconnect."""
        if self._body is not None and not self._delivered:
            self._delivered = True
            return {"type": "http.request", "body": self._body, "more_body": False}
        if not self._complete:
            return await self._read()
        if not self.disconnected:
            self._watch()
            await self._gone_event().wait()
        return {"type": "http.disconnect"}

    def replace_body(self, scope: Scope, body: bytes) -> Scope:
        """Hand another body down: return a copy of the scope with its content-length mended."""
        self._body = body
        self._delivered = False
        headers = [
            (name, value)
            for name, value in scope["headers"]
            if name not in (b"content-length", b"transfer-encoding")
        ]
        headers.append((b"content-length", b"%d" % len(body)))
        return {**scope, "headers": headers}

    def keep(self, seconds: float = math.inf) -> None:
        """Ask that the call goes on this long after its client has left; the longest wish counts."""
        self._keep = max(self._keep, seconds)

    def while_connected(self) -> "WhileConnected":
        """Return a context in which a call is cancelled when its client leaves."""
        return WhileConnected(self)

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """Call the listener once when the client has left, and what `keep` asked has passed."""
        self._listeners.append(listener)
        if self.disconnected:
            asyncio.get_running_loop().call_soon(self._notify)
        else:
            self._arm(WATCH_AFTER)

    def forget(self, listener: Callable[[], None]) -> None:
        """Take a listener back; one that was called already is no error."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def close(self) -> None:
        """Stop watching: the call is over."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._watcher is not None:
            self._watcher.cancel()
            self._watcher = None
        self._listeners.clear()

    def _arm(self, delay: float) -> None:
        if self._timer is None and self._watcher is None:
            self._timer = asyncio.get_running_loop().call_later(delay, self._tick)

    def _tick(self) -> None:
        """Start the watcher, unless the body is still on its way: then see that it moves."""
        self._timer = None
        if self._complete:
            if self._listeners:
                self._watch()
        elif self._reader is None:
            self._arm(self._idle_timeout)
        else:
            waited = asyncio.get_running_loop().time() - self._waiting_since
            if waited < self._idle_timeout:
                self._arm(self._idle_timeout - waited)
            else:
                self._timed_out = True
                self._reader.cancel()

    def _watch(self) -> None:
        if self._watcher is None and not self.disconnected:
            self._watcher = asyncio.get_running_loop().create_task(self._await_disconnect())

    async def _await_disconnect(self) -> None:
        message = await self._receive()
        while message["type"] != "http.disconnect":
            message = await self._receive()
        self._left()

    def _left(self) -> None:
        self._gone_event().set()
        if self._listeners:
            if self._keep == 0:
                self._notify()
            elif self._keep < math.inf:
                loop = asyncio.get_running_loop()
                self._timer = loop.call_later(self._keep, self._notify)

    def _notify(self) -> None:
        listeners = self._listeners[:]
        self._listeners.clear()
        for listener in listeners:
            listener()

    def _gone_event(self) -> asyncio.Event:
        if self._gone is None:
            self._gone = asyncio.Event()
        return self._gone


class WhileConnected:
    """Cancels what runs inside it when the client leaves, and turns that into an exception.

    Raises `ClientDisconnectedError` from `with`. A cancellation from elsewhere passes as it is. It
    costs no task: the disconnect cancels the task that entered it, as `asyncio.timeout` does.
    """

    __slots__ = ("_cancelled", "_client", "_task")

    def __init__(self, client: Client) -> None:
        self._client = client
        self._task: asyncio.Task[object] | None = None
        self._cancelled = False

    def __enter__(self) -> Self:
        self._task = asyncio.current_task()
        self._client.on_disconnect(self._cancel)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._client.forget(self._cancel)
        if not self._cancelled or self._task is None:
            return
        if self._task.uncancel() == 0 and kind is asyncio.CancelledError:
            raise ClientDisconnectedError from error

    def _cancel(self) -> None:
        if self._task is not None:
            self._cancelled = True
            self._task.cancel()


def client_of(scope: Scope, receive: Receive) -> Client:
    """Return the client of this request; the first to ask makes it from the server's `receive`."""
    client = facts.get(scope, Client)
    if client is None:
        client = Client(receive)
        facts.put(scope, client)
    return client
