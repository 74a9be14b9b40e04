"""What every store of callers' keys for providers does."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from tests.stores.records import record as key_record
from veneer.provider_keys.record import Owner, ProviderKeyRecord
from veneer.provider_keys.store import ProviderKeyStore
from veneer.stores import open_key_store, open_provider_key_store
from veneer.stores.unavailable import StoreUnavailableError

TEAM, KEY = Owner("team", "t"), Owner("key", "k")
CREATED = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=UTC)


def record(owner: Owner = TEAM, provider: str = "a", **members: Any) -> ProviderKeyRecord:
    given = {"seal": "1", "sealed": "s", "shown": "…abcd", "created_at": CREATED}
    return ProviderKeyRecord(owner=owner, provider=provider, **{**given, **members})


@pytest.fixture
async def provider_keys(store_url: str) -> AsyncIterator[ProviderKeyStore]:
    store = open_provider_key_store(store_url)
    yield store
    await store.aclose()


async def test_what_is_put_is_found_by_its_owners(provider_keys: ProviderKeyStore) -> None:
    records = [record(), record(provider="b"), record(KEY), record(Owner("team", "k"))]
    for each in records:
        await provider_keys.put(each)
    found = await provider_keys.find([TEAM, KEY])
    assert sorted(found, key=repr) == sorted(records[:3], key=repr)
    assert await provider_keys.find([Owner("key", "t")]) == []


async def test_lists_are_in_order(provider_keys: ProviderKeyStore) -> None:
    for owner in (TEAM, Owner("team", "Z"), KEY):
        for provider in ("b", "a", "B"):
            await provider_keys.put(record(owner, provider))
    listed = [(r.owner.kind, r.owner.id, r.provider) for r in await provider_keys.list()]
    assert listed == sorted(listed)
    assert len(listed) == 9
    assert [r.provider for r in await provider_keys.list(KEY)] == ["B", "a", "b"]


async def test_a_key_takes_the_place_of_the_one_before(provider_keys: ProviderKeyStore) -> None:
    await provider_keys.put(record(sealed="1"))
    await provider_keys.put(record(sealed="2"))
    assert await provider_keys.list() == [record(sealed="2")]


async def test_a_key_is_replaced_only_where_it_is_still_there(
    provider_keys: ProviderKeyStore,
) -> None:
    old, new = record(sealed="1"), record(sealed="2", seal="2")
    assert not await provider_keys.replace(old, new)
    await provider_keys.put(old)
    assert await provider_keys.replace(old, new)
    assert not await provider_keys.replace(old, msgspec.structs.replace(new, sealed="3"))
    assert await provider_keys.list() == [new]


async def test_a_key_is_deleted_once(provider_keys: ProviderKeyStore) -> None:
    await provider_keys.put(record())
    await provider_keys.put(record(provider="b"))
    assert await provider_keys.delete(TEAM, "a")
    assert not await provider_keys.delete(TEAM, "a")
    assert not await provider_keys.delete(KEY, "b")
    assert await provider_keys.list() == [record(provider="b")]


async def test_of_many_who_put_the_same_key_all_succeed(provider_keys: ProviderKeyStore) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(8):
            group.create_task(provider_keys.put(record(sealed=str(number))))
    assert len(await provider_keys.list()) == 1


async def test_keys_of_callers_lie_beside_the_keys_that_they_show(database_url: str) -> None:
    keys, provider_keys = open_key_store(database_url), open_provider_key_store(database_url)
    try:
        await keys.add(key_record())
        await provider_keys.put(record())
        assert len(await keys.list()) == len(await provider_keys.list()) == 1
    finally:
        await keys.aclose()
        await provider_keys.aclose()


async def test_a_store_that_is_not_there_is_unavailable() -> None:
    store = open_provider_key_store("postgresql://127.0.0.1:9/x", timeout=1)
    with pytest.raises(StoreUnavailableError):
        await store.find([TEAM])
    await store.aclose()
