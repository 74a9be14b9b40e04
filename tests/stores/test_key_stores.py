"""What every store of keys promises, on each of them."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from tests.stores.records import CREATED, record
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore

FULL = record(
    "key_full",
    name='Émile\'s "key"; DROP TABLE veneer_keys; %s :x',
    team="team/1",
    user="emile",
    scopes=frozenset({"read", "admin"}),
    operations=frozenset({"embeddings", "chat.completions"}),
    models=("gpt-*", "o3"),
    limits={"requests": "10/minute"},
    budgets={"month": "20 USD"},
    tags=("ci", "blue"),
    not_before=CREATED + timedelta(days=1),
    expires_at=CREATED + timedelta(days=2),
    revoked_at=CREATED + timedelta(days=3),
    last_used_at=CREATED + timedelta(days=4),
    rotated_from="key_0",
)


@pytest.mark.parametrize("kept", [record(), FULL], ids=["least", "most"])
async def test_a_record_is_read_as_it_was_written(store: KeyStore, kept: KeyRecord) -> None:
    await store.add(kept)
    assert await store.get(kept.id) == kept
    assert await store.find([kept.digest]) == kept
    assert await store.find(["another", kept.digest]) == kept


async def test_empty_sets_are_not_none(store: KeyStore) -> None:
    await store.add(record(operations=frozenset(), models=()))
    found = await store.get("key_1")
    assert found is not None
    assert (found.operations, found.models) == (frozenset(), ())


async def test_what_is_not_there_is_not_found(store: KeyStore) -> None:
    assert await store.get("key_1") is None
    assert await store.find(["digest"]) is None
    assert await store.find([]) is None
    assert await store.list() == []
    assert not await store.replace(record())
    await store.touch({"key_1": CREATED})
    await store.touch({})


async def test_times_come_back_in_utc(store: KeyStore) -> None:
    there = timezone(timedelta(hours=5, minutes=30))
    await store.add(record(expires_at=CREATED.astimezone(there)))
    found = await store.get("key_1")
    assert found is not None
    assert found.expires_at == CREATED
    assert found.created_at.tzinfo is UTC


async def test_a_taken_id_or_digest_is_refused_and_leaves_no_trace(store: KeyStore) -> None:
    await store.add(record())
    _, mark = await store.changed_since(None)
    with pytest.raises(ValueError, match="already"):
        await store.add(record(digest="another"))
    with pytest.raises(ValueError, match="already"):
        await store.add(record("key_2", digest="digest of key_1"))
    assert await store.changed_since(mark) == (await store.changed_since(mark))
    assert not (await store.changed_since(mark))[0]
    await store.add(record("key_2"))
    with pytest.raises(ValueError, match="already"):
        await store.replace(record("key_2", digest="digest of key_1"))
    assert await store.list() == [record(), record("key_2")]


async def test_a_replacement_is_found_by_its_new_digest_only(store: KeyStore) -> None:
    await store.add(record())
    assert await store.replace(record(digest="renewed", name="other"))
    assert await store.find(["digest of key_1"]) is None
    assert await store.find(["renewed"]) == record(digest="renewed", name="other", revision=1)


async def test_a_replacement_made_from_an_older_record_is_refused(store: KeyStore) -> None:
    await store.add(record())
    read = await store.get("key_1")
    assert read is not None
    assert await store.replace(msgspec.structs.replace(read, revoked_at=CREATED))
    assert not await store.replace(msgspec.structs.replace(read, name="renamed"))
    found = await store.get("key_1")
    assert found is not None
    assert (found.revoked_at, found.name) == (CREATED, "n")


async def test_of_many_replacements_at_once_one_is_done(store: KeyStore) -> None:
    await store.add(record())
    done = await asyncio.gather(*(store.replace(record(name=f"n{n}")) for n in range(8)))
    assert sum(done) == 1


async def test_records_are_listed_by_id_in_pages_and_by_team(store: KeyStore) -> None:
    ids = ["B", "a", "b", "C", "ä", "_"]
    for key_id in ids:
        await store.add(record(key_id, team="t" if key_id in "abä" else None))
    assert [r.id for r in await store.list()] == ["B", "C", "_", "a", "b", "ä"]
    assert [r.id for r in await store.list(limit=2)] == ["B", "C"]
    assert [r.id for r in await store.list(after="C", limit=2)] == ["_", "a"]
    assert [r.id for r in await store.list(team="t")] == ["a", "b", "ä"]
    assert [r.id for r in await store.list(team="t", after="a", limit=1)] == ["b"]
    assert await store.list(after="ä") == []


async def test_a_later_use_is_noted_and_an_earlier_one_dropped(store: KeyStore) -> None:
    await store.add(record())
    later = CREATED + timedelta(microseconds=1)
    for moment, noted in ((CREATED, CREATED), (later, later), (CREATED, later)):
        await store.touch({"key_1": moment, "key_unknown": moment})
        found = await store.get("key_1")
        assert found is not None
        assert found.last_used_at == noted


async def test_a_replacement_keeps_the_last_use_and_a_use_is_no_revision(store: KeyStore) -> None:
    await store.add(record())
    await store.touch({"key_1": CREATED})
    assert await store.replace(record(name="renamed"))
    assert await store.get("key_1") == record(name="renamed", last_used_at=CREATED, revision=1)


async def test_changes_are_told_once_with_old_and_new_digests(store: KeyStore) -> None:
    await store.add(record())
    none, mark = await store.changed_since(None)
    assert list(none or ()) == []
    await store.add(record("key_2"))
    await store.replace(record(digest="renewed"))
    changed, after = await store.changed_since(mark)
    assert set(changed or ()) == {"digest of key_2", "digest of key_1", "renewed"}
    changed, same = await store.changed_since(after)
    assert (list(changed or ()), same) == ([], after)


async def test_neither_uses_nor_refused_writes_are_changes(store: KeyStore) -> None:
    await store.add(record())
    _, mark = await store.changed_since(None)
    await store.touch({"key_1": datetime.now(UTC)})
    await store.replace(record(revision=7))
    changed, _ = await store.changed_since(mark)
    assert list(changed or ()) == []


async def test_a_store_that_was_closed_can_be_closed_again(store: KeyStore) -> None:
    await store.aclose()
