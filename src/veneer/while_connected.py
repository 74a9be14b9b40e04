"""A context in which a call lives as long as its client does."""

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self


class ClientDisconnectedError(Exception):
    """The client closed its connection before its answer was whole."""


class Leaving(Protocol):
    """A client, as far as that it leaves."""

    def on_disconnect(self, listener: Callable[[], None]) -> None:
        """See `Client.on_disconnect`."""

    def forget(self, listener: Callable[[], None]) -> None:
        """See `Client.forget`."""


class WhileConnected:
    """Cancels what runs inside it when the client leaves, and turns that into an exception.

    Raises `ClientDisconnectedError` from `with`. A cancellation from elsewhere passes as it is. It
    costs no task: the disconnect cancels the task that entered it, as `asyncio.timeout` does.
    """

    __slots__ = ("_cancelled", "_cancelling", "_client", "_task")

    def __init__(self, client: Leaving) -> None:
        self._client = client
        self._task: asyncio.Task[Any] | None = None
        self._cancelling = 0
        self._cancelled = False

    def __enter__(self) -> Self:
        task = self._task = asyncio.current_task()
        if task is None:
            raise RuntimeError("only what runs in a task can be cancelled")
        self._cancelling = task.cancelling()
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
        if self._task.uncancel() <= self._cancelling and kind is asyncio.CancelledError:
            raise ClientDisconnectedError from error

    def _cancel(self) -> None:
        if self._task is not None:
            self._cancelled = True
            self._task.cancel()
