"""The tape: messages in their order, for many readers, each at its own pace."""

import asyncio
from collections import deque

from starlette.types import Message, Send

# What a reader may be behind of a tape whose beginning is let go, in messages.
MAX_BEHIND = 16


class Tape:
    """Messages of one answer, kept until nobody can ask for them again.

    A reader begins at the first of them and follows to the last. Once the bodies are more than
    `limit` bytes, the tape is `torn`: what all readers have had is let go, nobody else can begin,
    and whoever writes waits for the slowest.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._messages: deque[Message] = deque()
        # The number of the first message that is still here.
        self._first = 0
        self._size = 0
        self._closed = False
        # How far each reader is: the number of the message that it wants next.
        self._readers: dict[object, int] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self.torn = False

    @property
    def readers(self) -> int:
        """How many are reading."""
        return len(self._readers)

    def put(self, message: Message) -> None:
        """Add a message."""
        self._messages.append(message)
        self._size += len(message.get("body", b""))
        if self._size > self._limit:
            self.torn = True
            self._let_go()
        self._wake()

    def close(self) -> None:
        """Say that there are no more."""
        self._closed = True
        self._wake()

    async def room(self) -> None:
        """Wait until the slowest reader of a torn tape is not far behind."""
        while self.torn and len(self._messages) > MAX_BEHIND and self._readers:
            await self._news()

    async def play(self, send: Send) -> None:
        """Send every message from the first to the last; return when there are no more.

        A torn tape, which has lost its first, plays nothing: ask `torn` before.
        """
        reader = object()
        self._readers[reader] = self._first
        try:
            while True:
                position = self._readers[reader]
                if position < self._first + len(self._messages):
                    self._readers[reader] = position + 1
                    await send(self._messages[position - self._first])
                    if self.torn:
                        self._let_go()
                        self._wake()
                elif self._closed:
                    return
                else:
                    await self._news()
        finally:
            del self._readers[reader]
            if self.torn:
                self._let_go()
                self._wake()

    def _let_go(self) -> None:
        end = self._first + len(self._messages)
        needed = min(self._readers.values(), default=end)
        while self._first < needed:
            self._messages.popleft()
            self._first += 1

    async def _news(self) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        await waiting

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
