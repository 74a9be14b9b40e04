"""Issuing keys: what is made, what is kept of it, and when which of two keys works."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from veneer.keys.issuer import MAX_OVERLAP, OVERLAP, FieldError, Issuer, KeyFields
from veneer.keys.peppers import Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.token import is_well_formed, new_token
from veneer.stores.memory import MemoryKeyStore

START = datetime(2026, 3, 1, 12, tzinfo=UTC)
PEPPERS = Peppers({"1": b"1" * 32, "2": b"2" * 32}, current="2")
FOREIGN = "sk-0123456789abcdef"
DAY = timedelta(days=1)


class Clock:
    """Gives the time that it was set to."""

    def __init__(self) -> None:
        self.now = START

    def __call__(self) -> datetime:
        """Return the time."""
        return self.now


class Setting:
    """An issuer on a store in memory, under a clock."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = MemoryKeyStore()
        self.issuer = Issuer(self.store, PEPPERS, prefix="acme", clock=self.clock)

    async def stored(self, key_id: str) -> KeyRecord:
        """Return the record that is there."""
        record = await self.store.get(key_id)
        assert record is not None
        return record


@pytest.fixture
def at() -> Setting:
    return Setting()


async def test_a_new_key_is_ours_and_stored_only_as_its_digest(at: Setting) -> None:
    issued = await at.issuer.create(KeyFields(name="CI", team="ops"))
    assert is_well_formed(issued.token, "acme")
    stored = await at.stored(issued.record.id)
    assert stored == issued.record
    assert (stored.pepper_id, stored.digest) == PEPPERS.digest(issued.token)
    assert (stored.name, stored.team, stored.scopes) == ("CI", "ops", frozenset({"write"}))
    assert stored.created_at == START
    assert stored.shown == f"acme_…{issued.token[-4:]}"
    assert stored.rotated_from is None
    assert issued.token not in repr(issued)


async def test_every_field_is_kept_by_creation_and_by_rotation(at: Setting) -> None:
    members: dict[str, Any] = {
        "name": "n",
        "team": "t",
        "user": "u",
        "scopes": frozenset({"read"}),
        "operations": frozenset({"embeddings"}),
        "models": ("m*",),
        "limits": {"requests": "1/second"},
        "budgets": {"day": "1 USD"},
        "tags": ("x",),
        "not_before": START + DAY,
        "expires_at": START + 9 * DAY,
    }
    assert set(members) == set(KeyFields.__struct_fields__)
    first = await at.issuer.create(KeyFields(**members))
    second = await at.issuer.rotate(first.record.id)
    assert second is not None
    for record in (first.record, second.record):
        assert {name: getattr(record, name) for name in members} == members
    assert second.record.rotated_from == first.record.id


async def test_fields_that_cannot_be_make_no_key(at: Setting) -> None:
    with pytest.raises(FieldError):
        await at.issuer.create(KeyFields(name=""))
    with pytest.raises(FieldError):
        await at.issuer.import_token(FOREIGN, KeyFields(name="n", expires_at=START))
    assert await at.store.list() == []


def test_a_prefix_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="prefix"):
        Issuer(MemoryKeyStore(), PEPPERS, prefix="a__b")


async def test_an_imported_key_is_found_by_its_digest(at: Setting) -> None:
    record = await at.issuer.import_token(FOREIGN, KeyFields(name="old"))
    assert await at.store.find([PEPPERS.digest(FOREIGN)[1]]) == record
    assert record.shown == "…"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "short",
        "two words and more of it",
        "x" * 513,
        "nul\0" * 9,
        "ключ" * 9,
        "acme_" + "x" * 36,
    ],
)
async def test_what_cannot_be_a_key_or_can_be_guessed_is_not_imported(
    at: Setting, token: str
) -> None:
    with pytest.raises(FieldError) as raised:
        await at.issuer.import_token(token, KeyFields(name="n"))
    assert raised.value.field == "token"
    assert not token or token not in str(raised.value)


async def test_a_key_of_ours_from_another_store_can_be_imported(at: Setting) -> None:
    token = new_token("acme")
    assert (await at.issuer.import_token(token, KeyFields(name="n"))).shown.startswith("acme_…")


async def test_a_known_key_is_not_imported_whichever_pepper_it_is_under(at: Setting) -> None:
    old = Issuer(at.store, Peppers({"1": b"1" * 32}, current="1"), clock=at.clock)
    record = await old.import_token(FOREIGN, KeyFields(name="n"))
    await old.revoke(record.id)
    with pytest.raises(FieldError, match="already") as raised:
        await at.issuer.import_token(FOREIGN, KeyFields(name="n"))
    assert raised.value.field == "token"


async def test_of_two_who_import_a_key_at_once_one_is_told_that_it_is_known() -> None:
    class Late(MemoryKeyStore):
        async def find(self, digests: object) -> None:
            """Look too early."""
            del digests

    issuer = Issuer(Late(), PEPPERS)
    await issuer.import_token(FOREIGN, KeyFields(name="n"))
    with pytest.raises(FieldError, match="already"):
        await issuer.import_token(FOREIGN, KeyFields(name="n"))


async def test_after_a_rotation_both_work_until_the_overlap_ends(at: Setting) -> None:
    old = await at.issuer.create(KeyFields(name="n"))
    at.clock.now += DAY
    new = await at.issuer.rotate(old.record.id, overlap=timedelta(hours=1))
    assert new is not None
    assert new.token != old.token
    assert new.record.expires_at is None
    assert (await at.stored(old.record.id)).expires_at == START + DAY + timedelta(hours=1)


async def test_an_overlap_is_a_day_unless_told_otherwise(at: Setting) -> None:
    old = await at.issuer.create(KeyFields(name="n"))
    assert await at.issuer.rotate(old.record.id)
    assert (await at.stored(old.record.id)).expires_at == START + OVERLAP


async def test_without_overlap_a_key_ends_at_once_and_cannot_be_rotated_again(
    at: Setting,
) -> None:
    old = await at.issuer.create(KeyFields(name="n"))
    assert await at.issuer.rotate(old.record.id, overlap=timedelta(0))
    with pytest.raises(FieldError, match="has ended") as raised:
        await at.issuer.rotate(old.record.id)
    assert raised.value.field == "id"
    assert len(await at.store.list()) == 2


async def test_a_rotation_does_not_make_a_key_last_longer(at: Setting) -> None:
    end = START + timedelta(hours=2)
    old = await at.issuer.create(KeyFields(name="n", expires_at=end))
    new = await at.issuer.rotate(old.record.id)
    assert new is not None
    assert new.record.expires_at == end
    assert await at.stored(old.record.id) == old.record


@pytest.mark.parametrize("end", [None, START + 30 * DAY])
async def test_a_key_that_is_rotated_twice_gives_its_own_end_to_both(
    at: Setting, end: datetime | None
) -> None:
    old = await at.issuer.create(KeyFields(name="n", team="t", expires_at=end))
    first = await at.issuer.rotate(old.record.id)
    assert first is not None
    between = await at.issuer.rotate(first.record.id, overlap=timedelta(0))
    assert between is not None
    second = await at.issuer.rotate(old.record.id, overlap=2 * DAY)
    assert second is not None
    assert {key.record.expires_at for key in (first, between, second)} == {end}
    assert (await at.stored(old.record.id)).expires_at == START + DAY


@pytest.mark.parametrize("overlap", [timedelta(seconds=-1), MAX_OVERLAP + timedelta(seconds=1)])
async def test_an_overlap_has_bounds(at: Setting, overlap: timedelta) -> None:
    old = await at.issuer.create(KeyFields(name="n"))
    with pytest.raises(FieldError) as raised:
        await at.issuer.rotate(old.record.id, overlap=overlap)
    assert raised.value.field == "overlap"
    assert await at.store.list() == [old.record]


async def test_a_key_that_has_expired_is_not_rotated(at: Setting) -> None:
    old = await at.issuer.create(KeyFields(name="n", expires_at=START + DAY))
    at.clock.now = START + DAY
    with pytest.raises(FieldError, match="has ended"):
        await at.issuer.rotate(old.record.id)


async def test_a_revoked_key_keeps_the_time_of_its_first_revocation(at: Setting) -> None:
    key = await at.issuer.create(KeyFields(name="n"))
    revoked = await at.issuer.revoke(key.record.id)
    assert revoked is not None
    assert revoked == await at.stored(key.record.id)
    assert revoked.revoked_at == START
    at.clock.now += DAY
    assert await at.issuer.revoke(key.record.id) == revoked
    with pytest.raises(FieldError, match="has ended"):
        await at.issuer.rotate(key.record.id)


async def test_a_key_that_is_not_there_is_none(at: Setting) -> None:
    assert await at.issuer.rotate("key_1") is None
    assert await at.issuer.revoke("key_1") is None
