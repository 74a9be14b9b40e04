"""The patience with a connection between two requests."""

import asyncio
from collections.abc import Callable


class Idle:
    """Calls `close` when a connection has been at rest for so many seconds.

    One timer serves all of a connection's requests: it is looked at when it fires, and set anew if
    there was work in between. To set and cancel one for each request costs more than that request's
    header.
    """

    def __init__(
        self, loop: asyncio.AbstractEventLoop, seconds: float, close: Callable[[], None]
    ) -> None:
        self._loop = loop
        self._seconds = seconds
        self._close = close
        self._since: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def begin(self) -> None:
        """Be at rest from now on."""
        self._since = self._loop.time()
        if self._timer is None:
            self._timer = self._loop.call_later(self._seconds, self._look)

    def end(self) -> None:
        """Be at work."""
        self._since = None

    def stop(self) -> None:
        """Forget about the connection, which is closed."""
        self._since = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look(self) -> None:
        self._timer = None
        if self._since is None:
            return
        left = self._since + self._seconds - self._loop.time()
        if left > 0:
            self._timer = self._loop.call_later(left, self._look)
        else:
            self._close()
