"""Issuers that meet on one store, in one process and in two."""

import asyncio
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.stores.databases import postgresql_schema
from veneer.keys.issuer import FieldError, Issuer, KeyFields
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.stores import open_key_store
from veneer.stores.memory import MemoryKeyStore
from veneer.stores.unavailable import StoreUnavailableError

PEPPERS = Peppers({"1": b"1" * 32}, current="1")

# Another process, which rotates or revokes each key that it is told of, and says when it has begun.
OTHER = """
import asyncio, sys
from datetime import timedelta
from veneer.keys.issuer import FieldError, Issuer
from veneer.keys.peppers import Peppers
from veneer.stores import open_key_store

async def main(url, what):
    store = open_key_store(url, timeout=10)
    issuer = Issuer(store, Peppers({"1": b"1" * 32}, current="1"))
    await store.list()
    print("ready", flush=True)
    for key_id in sys.stdin.readline().split():
        if what == "revoke":
            await issuer.revoke(key_id)
        else:
            try:
                await issuer.rotate(key_id, overlap=timedelta(hours=1))
            except FieldError:
                pass
    await store.aclose()

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/keys.db"
    else:
        with postgresql_schema() as schema:
            yield schema


async def test_of_rotations_at_once_each_makes_a_key_and_the_shortest_overlap_counts(
    url: str,
) -> None:
    store = open_key_store(url, timeout=10)
    issuer = Issuer(store, PEPPERS)
    old = await issuer.create(KeyFields(name="n"))
    hours = range(1, 5)
    issued = await asyncio.gather(
        *(issuer.rotate(old.record.id, overlap=timedelta(hours=n)) for n in hours)
    )
    after = await store.get(old.record.id)
    assert after is not None
    assert after.expires_at is not None
    assert after.expires_at - old.record.created_at < timedelta(hours=1, minutes=1)
    for key in issued:
        assert key is not None
        kept = await store.get(key.record.id)
        assert kept == key.record
        assert kept.expires_at is None
    await store.aclose()


@pytest.mark.parametrize("what", ["rotate", "revoke"])
async def test_two_processes_bring_no_revoked_key_back_and_forget_no_overlap(
    url: str, what: str
) -> None:
    store = open_key_store(url, timeout=10)
    issuer = Issuer(store, PEPPERS)
    made = [await issuer.create(KeyFields(name=f"n{number}")) for number in range(12)]
    ids = [key.record.id for key in made]
    other = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        OTHER,
        url,
        what,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert other.stdin is not None
    assert other.stdout is not None
    try:
        async with asyncio.timeout(20):
            assert await other.stdout.readline() == b"ready\n"
            other.stdin.write(" ".join(ids).encode() + b"\n")
            await other.stdin.drain()
            rotated = []
            for key_id in ids:
                if what == "rotate":
                    await issuer.revoke(key_id)
                else:
                    try:
                        rotated.append(await issuer.rotate(key_id, overlap=timedelta(hours=1)))
                    except FieldError:
                        continue
            assert await other.wait() == 0
    finally:
        if other.returncode is None:
            other.kill()
            await other.wait()
    records = {record.id: record for record in await store.list(limit=1000)}
    assert all(records[key_id].revoked_at is not None for key_id in ids)
    live = {key.record.id for key in rotated if key is not None}
    for record in records.values():
        if record.rotated_from is None:
            continue
        if record.revoked_at is None:
            # Its rotation came first, and has left the end of the overlap behind.
            assert records[record.rotated_from].expires_at is not None
            assert what == "rotate" or record.id in live
        else:
            assert record.id not in live, "nobody was given a key that is revoked"
    await store.aclose()


class Meddled(MemoryKeyStore):
    """A store on which somebody else acts just before every replacement."""

    def __init__(self) -> None:
        super().__init__()
        self.meddle: list[Any] = []

    async def replace(self, record: KeyRecord) -> bool:
        """Let the other go first."""
        if self.meddle:
            await self.meddle.pop()()
        return await super().replace(record)


async def test_a_key_that_is_revoked_while_it_is_rotated_has_no_successor() -> None:
    store = Meddled()
    issuer, other = (Issuer(store, PEPPERS) for _ in range(2))
    old = await issuer.create(KeyFields(name="n"))

    async def revoke() -> None:
        await other.revoke(old.record.id)

    store.meddle.append(revoke)
    with pytest.raises(FieldError, match="has ended"):
        await issuer.rotate(old.record.id)
    records = await store.list()
    assert len(records) == 2
    assert all(record.revoked_at is not None for record in records)


async def test_a_key_that_is_rotated_while_it_is_revoked_stays_revoked() -> None:
    store = Meddled()
    issuer, other = (Issuer(store, PEPPERS) for _ in range(2))
    old = await issuer.create(KeyFields(name="n"))

    async def rotate() -> None:
        assert await other.rotate(old.record.id)

    store.meddle.append(rotate)
    revoked = await issuer.revoke(old.record.id)
    assert revoked is not None
    assert revoked.revoked_at is not None
    assert revoked.expires_at is not None, "the overlap is not forgotten either"
    assert revoked == await store.get(old.record.id)


async def test_a_key_that_vanishes_while_it_is_rotated_has_no_successor() -> None:
    store = Meddled()
    issuer = Issuer(store, PEPPERS)
    old = await issuer.create(KeyFields(name="n"))

    async def vanish() -> None:
        del store._records[old.record.id]

    store.meddle.append(vanish)
    assert await issuer.rotate(old.record.id) is None
    [successor] = await store.list()
    assert successor.revoked_at is not None


async def test_who_always_loses_gives_up() -> None:
    class Busy(MemoryKeyStore):
        async def replace(self, record: KeyRecord) -> bool:
            del record
            return False

    issuer = Issuer(Busy(), PEPPERS)
    key = await issuer.create(KeyFields(name="n"))
    with pytest.raises(StoreUnavailableError):
        await issuer.revoke(key.record.id)
