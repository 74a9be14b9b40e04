"""Clients that call without a pause, of which some leave early, and note what became of it."""

import asyncio
import json
import random
import re
import secrets
from collections.abc import Iterator, Sequence

import msgspec

from tests.answers import Answer, post
from tests.ledger.served import PATIENCE
from tests.ledger.told import KINDS
from veneer.prices.money import parse

MOST_OUTPUT = 24

# One of so many clients leaves early, after so many seconds at the most.
LEAVES = 8
STAYS = 0.25

# Seconds after which clients go on that were refused.
AGAIN = 0.1

# The status of an answer whose client did not wait for it.
LEFT = -1

_COST = re.compile(rb'"cost":([0-9.]+)').search


class Called(msgspec.Struct, frozen=True):
    """A call as its client knows it.

    `name` is that of its model. `status` is 0 where no answer began, and `LEFT` where the client
    has; `whole` is whether it came to its end, `receipt` what it is said to cost, in picodollars.
    """

    name: str
    status: int
    whole: bool
    receipt: int | None = None

    @property
    def served(self) -> bool:
        """Whether its client got all that it wanted."""
        return self.whole and self.status == 200


class Clients:
    """Clients who call on random ports with random keys until they are told that it is over.

    Every other call is made with the last key.
    """

    def __init__(self, chance: random.Random, ports: Sequence[int], keys: Sequence[str]) -> None:
        self._chance = chance
        self._ports = ports
        self._keys = keys
        self._over = False
        self.calls: list[Called] = []

    def end(self) -> None:
        """Have everybody end the call that is under way, and make no other."""
        self._over = True

    async def run(self) -> None:
        """Be one of them. Raises TimeoutError for a call that does not end."""
        chance = self._chance
        while not self._over:
            [kind] = chance.choices(list(KINDS), list(KINDS.values()))
            name = f"{kind}-{secrets.token_hex(8)}"
            answer = await self._ask(name, stream=kind != "plain")
            self.calls.append(called(name, answer))
            if answer is not None and answer.status >= 400:
                await asyncio.sleep(chance.uniform(0, AGAIN))

    async def _ask(self, name: str, *, stream: bool) -> Answer | None:
        """Return the answer, None for a client that has left before."""
        chance = self._chance
        message = {"role": "user", "content": "x" * chance.randint(10, 300)}
        call = {
            "model": name,
            "stream": stream,
            "max_completion_tokens": MOST_OUTPUT,
            "messages": [message],
        }
        leaves = not chance.randrange(LEAVES)
        key = chance.choice([chance.choice(self._keys), self._keys[-1]])
        try:
            return await post(
                chance.choice(self._ports),
                json.dumps(call).encode(),
                f"authorization: Bearer {key}",
                within=chance.uniform(0, STAYS) if leaves else PATIENCE,
            )
        except TimeoutError:
            if leaves:
                return None
            raise


def called(name: str, answer: Answer | None) -> Called:
    """Return what a client notes of an answer."""
    if answer is None:
        return Called(name, LEFT, whole=False)
    return Called(name, answer.status, answer.whole, next(_receipts(answer), None))


def _receipts(answer: Answer) -> Iterator[int]:
    """Yield what an answer says that it costs, wherever it does."""
    if "x-cost-usd" in answer.headers:
        yield parse(answer.headers["x-cost-usd"])
    elif found := _COST(answer.body):
        yield parse(found[1].decode())
