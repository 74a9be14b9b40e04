"""A request's body that can be sent again as long as only its first part was taken."""

from starlette.types import Message, Receive


class Repeatable:
    """Gives the messages of `receive`, and the first of them again after `rewind`."""

    __slots__ = ("_first", "_further", "_given", "_receive")

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._first: Message | None = None
        self._given = False
        self._further = False

    async def first(self) -> bytes:
        """Return the first part, ahead of whoever receives it."""
        if self._first is None:
            self._first = await self._receive()
        body: bytes = self._first.get("body", b"")
        return body

    async def receive(self) -> Message:
        """Be the `receive` of the next try."""
        if self._given:
            self._further = True
            return await self._receive()
        if self._first is None:
            self._first = await self._receive()
        self._given = True
        return self._first

    def rewind(self) -> bool:
        """Have the next try begin anew; False where more than the first part is gone."""
        first = self._first
        if first is None or (self._further and first.get("more_body", False)):
            return False
        self._given = False
        return True

    def forget(self) -> None:
        """Keep nothing any longer: there is an answer."""
        if self._given:
            self._first = None
