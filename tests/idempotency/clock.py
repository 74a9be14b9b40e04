"""Time that passes when a test says so."""

from tests.limiters.clock import Clock as Standing


class Clock(Standing):
    """A clock that a test moves, also by waiting."""

    async def sleep(self, seconds: float) -> None:
        """Let so much time pass."""
        self.now += seconds
