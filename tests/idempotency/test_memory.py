"""The store in memory: its bounds, and whether it agrees with a model."""

import random
from typing import TypeVar

import pytest

from tests.clock import Clock
from tests.idempotency.stores import ANSWER, FIRST, TTL, claimed, new_key
from veneer.idempotency.memory import ENTRY, FIELD, MemoryRecordingStore
from veneer.idempotency.store import Claim, Done, InFlight, Recording, StoreUnavailableError

T = TypeVar("T")


async def keep(store: MemoryRecordingStore, size: int = 0, ttl: float = TTL) -> bytes:
    """Keep an answer whose body is of this size, and return its key."""
    key = new_key()
    token = await claimed(store, key)
    assert await store.commit(key, token, Recording(200, (), bytes(size)), ttl)
    return key


async def test_it_can_be_used_without_being_opened_and_after() -> None:
    store = MemoryRecordingStore()
    key = await keep(store)
    async with store.lifespan():
        assert isinstance(await store.look(key), Done)


def test_bounds_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="max_bytes is 639"):
        MemoryRecordingStore(max_bytes=ENTRY - 1)
    with pytest.raises(ValueError, match="max_entries is 0"):
        MemoryRecordingStore(max_entries=0)


async def test_a_new_claim_sends_the_oldest_recording_away() -> None:
    store = MemoryRecordingStore(max_entries=3)
    keys = [await keep(store) for _ in range(3)]
    # What is asked for does not become younger by it.
    assert isinstance(await store.look(keys[0]), Done)
    await claimed(store, new_key())
    assert await store.look(keys[0]) is None
    assert isinstance(await store.look(keys[1]), Done)
    assert len(store) == 3


async def test_large_answers_send_as_many_of_the_oldest_away_as_it_takes() -> None:
    store = MemoryRecordingStore(max_bytes=10 * ENTRY)
    keys = [await keep(store) for _ in range(9)]
    await keep(store, 4 * ENTRY)
    kept = [await store.look(key) is not None for key in keys]
    assert kept == [False] * 4 + [True] * 5
    assert store.size == 10 * ENTRY


async def test_no_recording_sends_a_claim_away() -> None:
    store = MemoryRecordingStore(max_entries=3)
    first = new_key()
    token = await claimed(store, first)
    for _ in range(10):
        await keep(store)
    assert await store.commit(first, token, ANSWER, TTL)
    assert await store.look(first) == Done(FIRST, ANSWER)


@pytest.mark.parametrize(
    ("max_entries", "max_bytes"), [(4, 100 * ENTRY), (100, 4 * ENTRY), (100, 5 * ENTRY - 1)]
)
async def test_where_calls_in_flight_fill_it_a_claim_is_refused(
    max_entries: int, max_bytes: int
) -> None:
    clock = Clock()
    store = MemoryRecordingStore(max_entries=max_entries, max_bytes=max_bytes, clock=clock)
    keys = [new_key() for _ in range(4)]
    tokens = [await claimed(store, key, 5.0) for key in keys]
    with pytest.raises(StoreUnavailableError, match="4 calls in flight"):
        await store.claim(new_key(), FIRST, 5.0)
    assert isinstance(await store.claim(keys[0], FIRST, 5.0), InFlight)

    await store.release(keys[0], tokens[0])
    await claimed(store, new_key(), 100.0)
    assert await store.renew(keys[1], tokens[1], 100.0)
    clock.now += 5.0
    # Two have ended.
    await claimed(store, new_key())
    await claimed(store, new_key())
    with pytest.raises(StoreUnavailableError):
        await store.claim(new_key(), FIRST, 5.0)


async def test_an_answer_for_which_there_is_no_room_is_known_to_have_been() -> None:
    store = MemoryRecordingStore(max_bytes=10 * ENTRY)
    other = await keep(store)
    key = new_key()
    token = await claimed(store, key)
    assert await store.commit(key, token, Recording(200, (), bytes(10 * ENTRY)), TTL)
    assert await store.look(key) == Done(FIRST, None)
    assert isinstance(await store.look(other), Done)
    assert store.size == 2 * ENTRY


async def test_fields_count() -> None:
    store = MemoryRecordingStore()
    key = new_key()
    token = await claimed(store, key)
    assert await store.commit(key, token, Recording(200, ((b"name", b"value"),), b"body"), TTL)
    assert store.size == ENTRY + FIELD + 13


async def test_what_has_ended_goes_as_others_come_without_a_walk() -> None:
    clock = Clock()
    store = MemoryRecordingStore(clock=clock)
    for _ in range(500):
        await keep(store, ttl=10.0)
    for _ in range(500):
        await claimed(store, new_key(), 10.0)
    clock.now += 10.0
    assert len(store) == 1000
    for _ in range(250):
        await keep(store)
    assert len(store) == 250


async def test_claims_that_have_ended_go_behind_those_that_last() -> None:
    clock = Clock()
    store = MemoryRecordingStore(clock=clock)
    for number in range(1000):
        await claimed(store, new_key(), 1000.0 if number % 2 else 10.0)
    clock.now += 10.0
    for _ in range(1000):
        await keep(store)
    assert len(store) == 1500


@pytest.mark.parametrize("seed", range(20))
async def test_bounds_hold_under_any_use(seed: int) -> None:
    dice = random.Random(seed)  # noqa: S311 - no secret
    clock = Clock()
    store = MemoryRecordingStore(max_bytes=20 * ENTRY, max_entries=12, clock=clock)
    held: list[tuple[bytes, int]] = []
    for _ in range(500):
        clock.now += dice.random()
        match dice.randrange(4):
            case 0 | 1:
                key = bytes([dice.randrange(40)])
                try:
                    outcome = await store.claim(key, FIRST, dice.uniform(1, 8))
                except StoreUnavailableError:
                    continue
                if isinstance(outcome, Claim):
                    held.append((key, outcome.token))
            case 2 if held:
                key, token = held.pop(dice.randrange(len(held)))
                size = dice.choice([0, ENTRY, 5 * ENTRY, 30 * ENTRY])
                await store.commit(key, token, Recording(200, (), bytes(size)), 9.0)
            case 3 if held:
                await store.release(*held.pop(dice.randrange(len(held))))
        assert len(store) <= 12
        assert store.size <= 20 * ENTRY
