"""Those who have settled into a queue that is full."""

import asyncio


class Crowd:
    """Waits for room, all together; who waited in an event loop that has ended waits no more."""

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    async def wait(self) -> None:
        """Wait until there is room."""
        room: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(room)
        await room

    def let_in(self) -> None:
        """Say that there is room."""
        waiting, self._waiting = self._waiting, []
        loop = asyncio.get_running_loop()
        for room in waiting:
            if not room.done() and room.get_loop() is loop:
                room.set_result(None)
