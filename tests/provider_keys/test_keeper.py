"""The keeper: keys of callers go in sealed, and come out for those whose they are."""

import logging

import msgspec
import pytest

from veneer.facts import Principal
from veneer.keys.fields import FieldError
from veneer.provider_keys.keeper import MAX_LENGTH, ProviderKeyKeeper
from veneer.provider_keys.record import Owner
from veneer.provider_keys.seals import Seals
from veneer.stores.memory import MemoryProviderKeyStore

SEALS = Seals([b"n" * 32])
TEAM, KEY = Owner("team", "t"), Owner("key", "k")
ANN = Principal(id="k", team="t")
SECRET = "sk-proj-0123456789abcdefwxyz"


@pytest.fixture
def store() -> MemoryProviderKeyStore:
    return MemoryProviderKeyStore()


async def test_a_caller_has_the_keys_of_its_team_and_its_own_before_them(
    store: MemoryProviderKeyStore,
) -> None:
    keeper = ProviderKeyKeeper(store, SEALS)
    await keeper.set(KEY, "a", "mine")
    await keeper.set(TEAM, "a", "ours")
    await keeper.set(TEAM, "b", "ours-b")
    await keeper.set(Owner("team", "k"), "c", "not-anns")
    assert await keeper.find(ANN) == {"a": "mine", "b": "ours-b"}
    assert await keeper.find(Principal(id="x", team="t")) == {"a": "ours", "b": "ours-b"}
    assert await keeper.find(Principal(id="t")) == {}


async def test_what_is_stored_shows_the_end_of_a_key_and_no_more(
    store: MemoryProviderKeyStore,
) -> None:
    record = await ProviderKeyKeeper(store, SEALS).set(TEAM, "a", SECRET)
    assert record.shown == "sk-…wxyz"
    stored = msgspec.json.encode(await store.list()).decode()
    assert "0123456789" not in stored
    assert SECRET not in repr(record)


@pytest.mark.parametrize("change", [{"owner": Owner("team", "u")}, {"provider": "b"}])
async def test_a_row_in_the_place_of_another_is_left_out_and_told(
    store: MemoryProviderKeyStore, change: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    keeper = ProviderKeyKeeper(store, SEALS)
    record = await keeper.set(TEAM, "a", SECRET)
    await keeper.set(Owner("team", "u"), "c", "other")
    await store.put(msgspec.structs.replace(record, **change))
    found = await keeper.find(Principal(id="x", team="u"))
    assert found == {"c": "other"}
    assert SECRET not in (await keeper.find(ANN)).get("b", "")
    assert "cannot be used: it was changed, or is another's" in caplog.text
    assert SECRET not in caplog.text


async def test_keys_are_sealed_anew_and_the_old_secret_can_go(
    store: MemoryProviderKeyStore, caplog: pytest.LogCaptureFixture
) -> None:
    await ProviderKeyKeeper(store, Seals([b"x" * 32])).set(KEY, "lost", "lost")
    await ProviderKeyKeeper(store, SEALS).set(KEY, "a", "mine")
    new = b"m" * 32
    both = ProviderKeyKeeper(store, Seals([new, b"n" * 32]))
    await both.set(KEY, "b", "mine-b")
    assert await both.reseal() == (1, 1)
    assert await both.reseal() == (0, 1)
    with caplog.at_level(logging.ERROR):
        found = await ProviderKeyKeeper(store, Seals([new])).find(ANN)
    assert found == {"a": "mine", "b": "mine-b"}
    assert "is not among those given" in caplog.text


@pytest.mark.parametrize(
    ("owner", "provider", "key", "field"),
    [
        (Owner("team", ""), "a", "k", "owner"),
        (TEAM, "a\n", "k", "provider"),
        (TEAM, "a", "", "key"),
        (TEAM, "a", "two words", "key"),
        (TEAM, "a", "käse", "key"),
        (TEAM, "a", "line\n", "key"),
        (TEAM, "a", "k" * (MAX_LENGTH + 1), "key"),
    ],
)
async def test_what_cannot_be_a_key_is_refused_without_being_shown(
    store: MemoryProviderKeyStore, owner: Owner, provider: str, key: str, field: str
) -> None:
    with pytest.raises(FieldError) as caught:
        await ProviderKeyKeeper(store, SEALS).set(owner, provider, key)
    assert caught.value.field == field
    assert "words" not in str(caught.value)
    assert await store.list() == []
