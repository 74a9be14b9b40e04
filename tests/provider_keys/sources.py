"""Who tells provider keys in tests."""

import asyncio
from collections.abc import Mapping

from veneer.facts import Principal
from veneer.stores.unavailable import StoreUnavailableError


class Told:
    """Tells the same keys to everybody, or that it cannot, or nothing at all."""

    def __init__(self, keys: Mapping[str, str]) -> None:
        self.keys = keys
        self.asked: list[str] = []
        self.away = False
        self.answering = asyncio.Event()
        self.answering.set()

    async def find(self, principal: Principal) -> Mapping[str, str]:
        """Return the keys."""
        self.asked.append(principal.id)
        await self.answering.wait()
        if self.away:
            raise StoreUnavailableError("away")
        return self.keys
