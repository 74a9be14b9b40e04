"""Time that passes when a test says so."""

from tests.clock import Clock as Standing


class Clock(Standing):
    """A clock that a test moves, also by waiting."""

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds
