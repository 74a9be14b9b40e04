"""The auth layer against somebody who guesses keys, from the address of somebody who does not."""

import asyncio
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope
from tests.clock import Clock
from veneer.auth.guesses import Guesses
from veneer.auth.verifier import Denial
from veneer.facts import Principal
from veneer.layers.auth import AuthMiddleware

GOOD = (b"api-key", b"good")
ALICE = Principal(id="alice", scopes=frozenset({"write"}))


class Keys:
    """Knows one key, answers for others once `answer` is set, and counts who waits."""

    def __init__(self) -> None:
        self.answer = asyncio.Event()
        self.answer.set()
        self.three = asyncio.Event()
        self.waiting = 0
        self.most = 0
        self.asked = 0

    async def verify(self, credential: str) -> Principal | Denial:
        """Answer at once for the good key, else when it is time."""
        self.asked += 1
        if credential == "good":
            return ALICE
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        if self.waiting == 3:
            self.three.set()
        try:
            await self.answer.wait()
        finally:
            self.waiting -= 1
        return Denial.UNKNOWN


def guarded(keys: Keys, clock: Clock, **options: Any) -> AuthMiddleware:
    guesses = Guesses(limit=3, window=60, clock=clock)
    return AuthMiddleware(Responder(b"{}"), verifier=keys, guesses=guesses, **options)


async def ask(
    layer: AuthMiddleware, *headers: tuple[bytes, bytes], client: str = "192.0.2.1"
) -> Exchange:
    return await Exchange(http_scope(headers=headers, client=(client, 1))).run(layer)


async def guess(
    layer: AuthMiddleware, *more: tuple[bytes, bytes], client: str = "192.0.2.1"
) -> int:
    return (await ask(layer, (b"api-key", b"guess"), *more, client=client)).status


async def test_after_some_failures_guesses_are_answered_429_until_they_drain() -> None:
    clock = Clock(100.0)
    layer = guarded(Keys(), clock)
    assert [await guess(layer) for _ in range(5)] == [401, 401, 401, 429, 429]
    answer = await ask(layer, (b"api-key", b"guess"))
    assert answer.header("retry-after") == "20"
    assert answer.header("x-should-retry") == "false"
    assert answer.json()["error"]["code"] == "too_many_attempts"
    assert await guess(layer, client="192.0.2.2") == 401
    clock.now += 20
    assert [await guess(layer) for _ in range(2)] == [401, 429]


async def test_a_valid_key_behind_the_same_address_always_passes() -> None:
    keys = Keys()
    layer = guarded(keys, Clock(100.0))
    for _ in range(10):
        await guess(layer)
        assert (await ask(layer, GOOD)).status == 200
    assert (await ask(layer)).status == 401, "to show no key is no guess"


async def test_guesses_beyond_the_limit_are_verified_few_at_a_time() -> None:
    keys = Keys()
    layer = guarded(keys, Clock(100.0))
    for _ in range(4):
        await guess(layer)
    assert (await ask(layer, GOOD)).status == 200
    keys.answer.clear()
    keys.most = 0
    flood = [asyncio.create_task(guess(layer)) for _ in range(20)]
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        assert (await ask(layer, GOOD)).status == 200, "known good, it waits for nobody"
        keys.answer.set()
        assert set(await asyncio.gather(*flood)) == {429}
    assert keys.most == 2


async def test_a_flood_from_one_address_leaves_others_alone() -> None:
    keys = Keys()
    layer = guarded(keys, Clock(100.0))
    for _ in range(4):
        await guess(layer)
    keys.answer.clear()
    flood = [asyncio.create_task(guess(layer)) for _ in range(20)]
    other = asyncio.create_task(guess(layer, client="192.0.2.2"))
    async with asyncio.timeout(5):
        await keys.three.wait()
        keys.answer.set()
        assert await other == 401
        await asyncio.gather(*flood)


@pytest.mark.parametrize(("trusted", "statuses"), [((), {429}), (("192.0.2.1",), {401})])
async def test_forwarded_addresses_count_only_from_trusted_proxies(
    trusted: tuple[str, ...], statuses: set[int]
) -> None:
    layer = guarded(Keys(), Clock(100.0), trusted_proxies=trusted)
    for _ in range(3):
        await guess(layer)
    forged = [
        await guess(layer, (b"x-forwarded-for", f"198.51.100.{number}".encode()))
        for number in range(5)
    ]
    assert set(forged) == statuses


async def test_an_ipv6_network_is_one_peer() -> None:
    layer = guarded(Keys(), Clock(100.0))
    statuses = [await guess(layer, client=f"2001:db8::{number}") for number in range(1, 6)]
    assert statuses == [401, 401, 401, 429, 429]
