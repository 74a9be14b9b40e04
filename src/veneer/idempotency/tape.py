"""The tape: one answer for many readers, each at its own pace."""

import asyncio
from collections.abc import Iterable

from starlette.types import Message, Send

from veneer.errors import BrokenResponseError

# What is sent to a reader at once, and what one may be behind of a torn tape, in bytes.
PIECE = 256 * 1024

# Seconds for which a torn tape waits for a reader that takes nothing while others wait for it.
PATIENCE = 10.0


class Tape:
    """An answer as it comes, kept until nobody can ask for it again.

    A reader begins at the beginning and follows to the end, as far as it was given. Once the body
    is more than `limit` bytes, the tape is `torn`: what was given and all readers have had is let
    go, nobody else can begin, and whoever writes waits for the slowest; one that takes nothing for
    `patience` seconds while others wait is left behind. `begun` is whether anything was given,
    `whole` whether all was.
    """

    def __init__(self, limit: int, *, patience: float = PATIENCE) -> None:
        self._limit = limit
        self._patience = patience
        # Asked once: there is news with every event.
        self._loop = asyncio.get_running_loop()
        self._start: Message = {}
        self._data = bytearray()
        # How many bytes were let go, and how many were given.
        self._gone = 0
        self._given = 0
        self._closed = False
        # How far each reader is.
        self._readers: dict[object, int] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self.begun = False
        self.whole = False
        self.torn = False

    @property
    def readers(self) -> int:
        """How many are reading."""
        return len(self._readers)

    @property
    def size(self) -> int:
        """How many bytes the body has so far."""
        return self._gone + len(self._data)

    @property
    def body(self) -> bytes | None:
        """The body so far, None of a torn tape."""
        return None if self.torn else bytes(self._data)

    def begin(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Put the start of the answer."""
        self._start = {"type": "http.response.start", "status": status, "headers": list(headers)}

    def put(self, body: bytes) -> None:
        """Put more of the body; nobody gets it before it is given."""
        self._data += body
        if self.size > self._limit:
            self.torn = True

    def give(self) -> None:
        """Give readers all that was put."""
        self.begun = True
        self._given = self.size
        self._let_go()
        self._wake()

    def end(self) -> None:
        """Give all, and say that the answer is whole."""
        self.whole = True
        self.give()

    def close(self) -> None:
        """Say that nothing more will be given."""
        self._closed = True
        self._wake()

    async def room(self) -> None:
        """Wait until what is held of a torn tape is not much."""
        if self.torn:
            # Nobody may be there to wait for.
            await asyncio.sleep(0)
        while self.torn and len(self._data) > PIECE and not self._closed:
            late = self._loop.call_later(self._patience, self._leave_behind)
            try:
                await self._news()
            finally:
                late.cancel()

    async def play(self, send: Send) -> None:
        """Send the answer, and return when the tape is closed.

        A torn tape has lost its beginning: ask `torn` before. Raises `BrokenResponseError` in one
        that was left behind.
        """
        reader = object()
        position = self._readers[reader] = 0
        begun = ended = False
        try:
            while True:
                if reader not in self._readers:
                    raise BrokenResponseError("a client took nothing while others waited for it")
                if self.begun and not begun:
                    begun = True
                    await send(self._start)
                elif position < self._given or (self.whole and not ended):
                    offset = position - self._gone
                    piece = bytes(memoryview(self._data)[offset : self._given - self._gone][:PIECE])
                    position = self._readers[reader] = position + len(piece)
                    ended = self.whole and position == self._given
                    if self.torn:
                        self._let_go()
                        self._wake()
                    await send(
                        {"type": "http.response.body", "body": piece, "more_body": not ended}
                    )
                elif self._closed:
                    return
                else:
                    await self._news()
        finally:
            self._readers.pop(reader, None)
            if self.torn:
                self._let_go()
                self._wake()

    def _leave_behind(self) -> None:
        """Let the slowest go, if anybody is further."""
        positions = self._readers.values()
        slowest = min(positions, default=0)
        if slowest < max(positions, default=0):
            self._readers = {one: at for one, at in self._readers.items() if at > slowest}
            self._let_go()
        self._wake()

    def _let_go(self) -> None:
        if self.torn:
            needed = min(self._readers.values(), default=self._given)
            del self._data[: needed - self._gone]
            self._gone = needed

    async def _news(self) -> None:
        waiting = self._loop.create_future()
        self._waiting.append(waiting)
        await waiting

    def _wake(self) -> None:
        waiting = self._waiting
        if not waiting:
            return
        self._waiting = []
        for future in waiting:
            if not future.done():
                future.set_result(None)
