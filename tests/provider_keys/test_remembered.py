"""Provider keys in memory: asked for as seldom as may be, and kept while nobody can tell."""

import asyncio
from typing import Any

import pytest

from tests.clock import Clock
from tests.provider_keys.sources import Told
from veneer.facts import Principal
from veneer.provider_keys.keeper import ProviderKeyKeeper
from veneer.provider_keys.remembered import RememberedProviderKeys
from veneer.provider_keys.seals import Seals
from veneer.stores.memory import MemoryProviderKeyStore
from veneer.stores.unavailable import StoreUnavailableError

ANN, BOB = Principal(id="ann", team="t"), Principal(id="bob", team="t")
KEYS = {"a": "k"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_what_is_known_is_asked_for_again_after_a_while(clock: Clock) -> None:
    told = Told(KEYS)
    keys = RememberedProviderKeys(told, max_age=15, clock=clock)
    assert await keys.find(ANN) == KEYS
    clock.now += 14.9
    told.keys = {}
    assert await keys.find(ANN) == KEYS
    clock.now += 0.2
    assert await keys.find(ANN) == {}
    assert told.asked == ["ann", "ann"]


async def test_callers_of_one_id_in_two_teams_are_two(clock: Clock) -> None:
    told = Told(KEYS)
    keys = RememberedProviderKeys(told, clock=clock)
    await keys.find(ANN)
    told.keys = {}
    assert await keys.find(Principal(id="ann", team="u")) == {}
    assert await keys.find(ANN) == KEYS


async def test_while_nobody_can_tell_what_is_known_counts_for_a_grace(clock: Clock) -> None:
    told = Told(KEYS)
    keys = RememberedProviderKeys(told, max_age=15, grace=60, clock=clock)
    await keys.find(ANN)
    told.away = True
    clock.now += 30
    assert await keys.find(ANN) == KEYS
    with pytest.raises(StoreUnavailableError):
        await keys.find(BOB)
    clock.now += 30
    with pytest.raises(StoreUnavailableError):
        await keys.find(ANN)


async def test_after_a_failure_nobody_asks_for_a_moment(clock: Clock) -> None:
    told = Told(KEYS)
    told.away = True
    keys = RememberedProviderKeys(told, clock=clock)
    for _ in range(5):
        with pytest.raises(StoreUnavailableError):
            await keys.find(ANN)
    assert told.asked == ["ann"]
    told.away = False
    clock.now += 1
    assert await keys.find(ANN) == KEYS


async def test_one_question_answers_all_who_wait_and_who_leaves_disturbs_nobody(
    clock: Clock,
) -> None:
    told = Told(KEYS)
    told.answering.clear()
    keys = RememberedProviderKeys(told, clock=clock)
    first, second = (asyncio.create_task(keys.find(ANN)) for _ in range(2))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait({first})
    told.answering.set()
    assert await second == KEYS
    assert told.asked == ["ann"]


async def test_a_silent_source_is_waited_for_no_longer_than_said(clock: Clock) -> None:
    told = Told(KEYS)
    told.answering.clear()
    keys = RememberedProviderKeys(told, timeout=0.01, clock=clock)
    with pytest.raises(StoreUnavailableError, match=r"within 0\.01 s"):
        await keys.find(ANN)


async def test_what_a_source_raises_is_raised_and_asked_again(clock: Clock) -> None:
    class Broken(Told):
        async def find(self, principal: Principal) -> Any:
            self.asked.append(principal.id)
            raise KeyError("bug")

    told = Broken(KEYS)
    keys = RememberedProviderKeys(told, clock=clock)
    for _ in range(2):
        with pytest.raises(KeyError):
            await keys.find(ANN)
    assert len(told.asked) == 2


async def test_no_more_callers_are_remembered_than_said(clock: Clock) -> None:
    told = Told(KEYS)
    keys = RememberedProviderKeys(told, max_entries=2, clock=clock)
    for name in "abacab":
        await keys.find(Principal(id=name))
    assert told.asked == ["a", "b", "c", "b"]


async def test_the_source_is_closed_after_the_last_question() -> None:
    events: list[str] = []

    class Store(MemoryProviderKeyStore):
        async def aclose(self) -> None:
            events.append("closed")

    class Slow(ProviderKeyKeeper):
        async def find(self, principal: Principal) -> Any:
            await asyncio.sleep(0)
            events.append(principal.id)
            return {}

    keys = RememberedProviderKeys(Slow(Store(), Seals([b"n" * 32])))
    async with keys.lifespan():
        asked = asyncio.create_task(keys.find(ANN))
        await asyncio.sleep(0)
    assert events == ["ann", "closed"]
    assert await asked == {}


@pytest.mark.parametrize(
    "options", [{"max_age": -1}, {"grace": float("nan")}, {"timeout": 0}, {"max_entries": 0}]
)
def test_settings_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(options))):
        RememberedProviderKeys(Told({}), **options)
