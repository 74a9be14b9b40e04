"""Keys in a store: what is accepted when, and what that costs the store."""

import asyncio
import logging
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.auth.stores import NOW, PEPPERS, Bench, Store, until
from tests.stores.databases import gate_to, postgresql_schema
from tests.stores.records import record
from veneer.auth.stored import MAX_AGE, StoredKeys
from veneer.auth.verifier import Denial
from veneer.facts import Principal
from veneer.keys.peppers import Peppers
from veneer.keys.token import new_token
from veneer.stores import open_key_store

NOON = datetime.fromtimestamp(NOW, UTC)


async def test_a_key_is_whoever_its_record_says() -> None:
    bench = Bench()
    told: dict[str, Any] = {
        "name": "n",
        "team": "t",
        "user": "u",
        "scopes": frozenset({"read"}),
        "operations": frozenset({"embeddings"}),
        "models": ("gpt-*",),
        "limits": {"requests": "1/second"},
        "budgets": {"day": "1 USD"},
        "tags": ("ci",),
    }
    token = await bench.key(**told)
    stored = await bench.store.get("key_1")
    assert stored is not None
    told |= {name: getattr(stored, name) for name in ("shown", "created_at", "expires_at")}
    assert await bench.keys.verify(token) == Principal(id="key_1", **told)


async def test_a_known_key_costs_the_store_nothing() -> None:
    bench = Bench()
    token = await bench.key()
    async with bench.keys.lifespan():
        first = await bench.keys.verify(token)
        for _ in range(5):
            assert await bench.keys.verify(token) is first
    assert bench.store.finds == 1


async def test_a_known_key_is_told_at_once_while_it_may_be_relied_upon() -> None:
    bench = Bench()
    token = await bench.key(expires_at=NOON + timedelta(seconds=MAX_AGE + 1))
    assert bench.keys.recall(token) is None
    principal = await bench.keys.verify(token)
    assert bench.keys.recall(token) is principal
    bench.monotonic.now += MAX_AGE
    assert bench.keys.recall(token) is None
    principal = await bench.keys.verify(token)
    assert bench.keys.recall(token) is principal
    bench.clock.now += MAX_AGE + 1
    assert bench.keys.recall(token) is None
    assert await bench.keys.verify(token) is Denial.EXPIRED
    assert bench.store.finds == 2


async def test_a_foreign_token_is_a_key_like_any_other() -> None:
    bench = Bench()
    token = await bench.key(token="sk-imported")
    assert isinstance(await bench.keys.verify(token), Principal)


@pytest.mark.parametrize(
    "credential",
    ["", "vnr_", "a b", "é", "\udcff", "x" * 10_000, "vnr_" + "0" * 36, "a,b c", "a\r\nb", "\x00"],
)
async def test_what_cannot_be_a_key_is_malformed_without_asking(credential: str) -> None:
    bench = Bench()
    assert await bench.keys.verify(credential) is Denial.MALFORMED
    assert bench.store.finds == 0


async def test_a_wrong_checksum_is_malformed_without_asking() -> None:
    bench = Bench()
    token = await bench.key()
    wrong = token[:-1] + ("A" if token[-1] != "A" else "B")
    assert await bench.keys.verify(wrong) is Denial.MALFORMED
    assert bench.store.finds == 0


async def test_an_unknown_key_is_remembered_briefly() -> None:
    bench = Bench()
    token = new_token()
    async with bench.keys.lifespan():
        for moment, finds in ((1000.0, 1), (1004.9, 1), (1005.0, 2)):
            bench.monotonic.now = moment
            assert await bench.keys.verify(token) is Denial.UNKNOWN
            assert bench.store.finds == finds


async def test_a_key_that_is_made_after_it_was_asked_for_is_known_after_a_poll() -> None:
    bench = Bench()
    token = new_token()
    async with bench.keys.lifespan():
        assert await bench.keys.verify(token) is Denial.UNKNOWN
        await bench.key(token=token)
        await bench.keys.refresh()
        assert isinstance(await bench.keys.verify(token), Principal)


async def test_guesses_do_not_push_out_keys_and_do_not_pile_up() -> None:
    bench = Bench(max_entries=10)
    token = await bench.key()
    async with bench.keys.lifespan():
        await bench.keys.verify(token)
        for _ in range(100):
            assert await bench.keys.verify(new_token()) is Denial.UNKNOWN
        assert bench.store.finds == 101
        await bench.keys.verify(token)
        assert bench.store.finds == 101
        assert len(bench.keys._cache._unknown) == 10
        assert len(bench.keys._cache._by_digest) == 11


async def test_the_key_that_was_used_longest_ago_goes_first() -> None:
    bench = Bench(max_entries=2)
    one, two, three = [await bench.key(f"key_{n}") for n in range(3)]
    async with bench.keys.lifespan():
        for token in (one, two, one, three, one):
            await bench.keys.verify(token)
        assert bench.store.finds == 3
        await bench.keys.verify(two)
        assert bench.store.finds == 4


async def test_a_revocation_is_felt_after_a_poll() -> None:
    bench = Bench()
    token = await bench.key()
    async with bench.keys.lifespan():
        await bench.keys.verify(token)
        await bench.change(revoked_at=NOON)
        await bench.keys.refresh()
        assert await bench.keys.verify(token) is Denial.REVOKED
        assert await bench.keys.verify(token) is Denial.REVOKED
    assert bench.store.finds == 2


async def test_while_polls_are_late_a_key_is_asked_for_when_it_is_used() -> None:
    bench = Bench()
    token = await bench.key()
    async with bench.keys.lifespan():
        await bench.keys.verify(token)
        await bench.change(revoked_at=NOON)
        bench.monotonic.now += MAX_AGE - 0.01
        assert isinstance(await bench.keys.verify(token), Principal)
        bench.monotonic.now += 0.01
        assert await bench.keys.verify(token) is Denial.REVOKED
        assert await bench.keys.verify(token) is Denial.REVOKED
        assert bench.store.finds == 2


async def test_a_revocation_in_the_future_is_one_now() -> None:
    bench = Bench()
    token = await bench.key(revoked_at=NOON + timedelta(days=1))
    assert await bench.keys.verify(token) is Denial.REVOKED


async def test_the_clock_decides_at_every_use() -> None:
    bench = Bench()
    token = await bench.key(not_before=NOON, expires_at=NOON + timedelta(seconds=10))
    async with bench.keys.lifespan():
        for seconds, denial in (
            (-0.001, Denial.NOT_YET_VALID),
            (0, None),
            (9.999, None),
            (10, Denial.EXPIRED),
        ):
            bench.clock.now = NOW + seconds
            answer = await bench.keys.verify(token)
            assert answer is denial or (denial is None and isinstance(answer, Principal))
    assert bench.store.finds == 1


async def test_a_key_that_is_revoked_and_expired_is_revoked() -> None:
    bench = Bench()
    token = await bench.key(expires_at=NOON, revoked_at=NOON)
    assert await bench.keys.verify(token) is Denial.REVOKED


async def test_those_who_ask_for_the_same_key_share_one_lookup() -> None:
    bench = Bench()
    token = await bench.key()
    answers = await asyncio.gather(*(bench.keys.verify(token) for _ in range(50)))
    assert {type(answer) for answer in answers} == {Principal}
    assert bench.store.finds == 1


async def test_whoever_leaves_does_not_take_the_answer_from_the_others() -> None:
    bench = Bench()
    token = await bench.key()
    bench.store.go.clear()
    leader, follower, other = [asyncio.create_task(bench.keys.verify(token)) for _ in range(3)]
    await bench.store.asked.wait()
    leader.cancel()
    other.cancel()
    await asyncio.wait({leader, other})
    bench.store.go.set()
    assert isinstance(await follower, Principal)
    assert (leader.cancelled(), other.cancelled(), bench.store.finds) == (True, True, 1)


async def test_a_change_during_a_lookup_makes_it_ask_again() -> None:
    bench = Bench()
    token = await bench.key()
    async with bench.keys.lifespan():
        bench.store.go.clear()
        task = asyncio.create_task(bench.keys.verify(token))
        await bench.store.asked.wait()
        await bench.change(revoked_at=NOON)
        await bench.keys.refresh()
        bench.store.go.set()
        assert await task is Denial.REVOKED


async def test_a_store_that_is_down_says_nothing_of_unknown_keys() -> None:
    bench = Bench()
    token = await bench.key()
    bench.store.down = True
    assert await bench.keys.verify(token) is Denial.UNAVAILABLE
    async with bench.keys.lifespan():
        assert await bench.keys.verify(token) is Denial.UNAVAILABLE
        bench.store.down = False
        await bench.keys.refresh()
        assert isinstance(await bench.keys.verify(token), Principal)


async def test_known_keys_go_on_for_the_grace_and_no_longer() -> None:
    bench = Bench(grace=60)
    token = await bench.key()
    async with bench.keys.lifespan():
        await bench.keys.verify(token)
        bench.store.down = True
        await bench.keys.refresh()
        for seconds, kind in ((3.9, Principal), (4, Principal), (60, Principal), (60.1, Denial)):
            bench.monotonic.now = 1000.0 + seconds
            assert isinstance(await bench.keys.verify(token), kind)
        assert await bench.keys.verify(token) is Denial.UNAVAILABLE
        assert bench.store.finds == 1
        bench.store.down = False
        await bench.keys.refresh()
        assert isinstance(await bench.keys.verify(token), Principal)
        assert bench.store.finds == 1


async def test_a_key_expires_during_the_grace_too() -> None:
    bench = Bench()
    token = await bench.key(expires_at=NOON + timedelta(seconds=10))
    async with bench.keys.lifespan():
        await bench.keys.verify(token)
        bench.store.down = True
        await bench.keys.refresh()
        bench.clock.now += 10
        bench.monotonic.now += 10
        assert await bench.keys.verify(token) is Denial.EXPIRED


async def test_what_changed_while_the_store_was_away_is_felt_when_it_is_back() -> None:
    bench = Bench()
    revoked, kept = await bench.key("key_1"), await bench.key("key_2")
    async with bench.keys.lifespan():
        await bench.keys.verify(revoked)
        await bench.keys.verify(kept)
        bench.store.down = True
        await bench.keys.refresh()
        await bench.change(revoked_at=NOON)
        bench.store.down = False
        await bench.keys.refresh()
        assert await bench.keys.verify(revoked) is Denial.REVOKED
        assert isinstance(await bench.keys.verify(kept), Principal)
        assert bench.store.finds == 3


async def test_without_a_poll_a_failed_lookup_leaves_known_keys_their_grace() -> None:
    bench = Bench(grace=10)
    token = await bench.key()
    await bench.keys.verify(token)
    bench.store.down = True
    bench.monotonic.now += 10
    assert isinstance(await bench.keys.verify(token), Principal)
    bench.monotonic.now += 0.1
    assert await bench.keys.verify(token) is Denial.UNAVAILABLE
    bench.store.down = False
    assert isinstance(await bench.keys.verify(token), Principal)


async def test_a_store_that_never_answers_is_unavailable_in_time() -> None:
    bench = Bench(timeout=0.05)
    bench.store.go.clear()
    token = await bench.key()
    answers = await asyncio.gather(*(bench.keys.verify(new_token()) for _ in range(20)))
    assert set(answers) == {Denial.UNAVAILABLE}
    bench.store.go.set()
    assert isinstance(await bench.keys.verify(token), Principal)


async def test_only_a_few_lookups_go_on_at_once_and_only_so_many_wait() -> None:
    bench = Bench(timeout=5)
    bench.store.go.clear()
    tasks = [asyncio.create_task(bench.keys.verify(new_token())) for _ in range(1200)]
    await bench.store.asked.wait()
    await asyncio.sleep(0.01)
    assert bench.store.finds == 3
    assert sum(task.done() and task.result() is Denial.UNAVAILABLE for task in tasks) == 200
    bench.store.go.set()
    answers = await asyncio.gather(*tasks)
    assert answers.count(Denial.UNKNOWN) == 1000


async def test_the_end_waits_for_lookups_that_are_under_way() -> None:
    bench = Bench()
    token = await bench.key()
    async with bench.keys.lifespan():
        bench.store.go.clear()
        task = asyncio.create_task(bench.keys.verify(token))
        await bench.store.asked.wait()
        asyncio.get_running_loop().call_later(0.01, bench.store.go.set)
    assert isinstance(await task, Principal)


async def test_a_store_that_finds_another_key_is_not_believed() -> None:
    class Confused(Store):
        async def find(self, digests: Collection[str]) -> object:  # type: ignore[override]  # it is confused
            return record(digest="another's") if digests else None

    bench = Bench(store=Confused())
    assert await bench.keys.verify(new_token()) is Denial.UNKNOWN


async def test_the_last_use_is_told_once_in_a_while_and_at_the_end() -> None:
    bench = Bench()
    token = await bench.key()
    idle = await bench.key("key_2", expires_at=NOON)
    async with bench.keys.lifespan():
        for seconds in (0, 1, 2):
            bench.clock.now = NOW + seconds
            await bench.keys.verify(token)
            await bench.keys.verify(idle)
        await bench.keys.flush()
        await bench.keys.flush()
        assert bench.store.touches == [{"key_1": NOON + timedelta(seconds=2)}]
        bench.clock.now = NOW + 3
        await bench.keys.verify(token)
    assert bench.store.touches[1:] == [{"key_1": NOON + timedelta(seconds=3)}]


async def test_a_use_that_could_not_be_told_is_told_later() -> None:
    bench = Bench()
    token = await bench.key()
    await bench.keys.verify(token)
    bench.store.down = True
    await bench.keys.flush()
    bench.store.down = False
    await bench.keys.flush()
    assert bench.store.touches == [{"key_1": NOON}]


async def test_a_key_that_is_always_in_use_is_told_once_a_time_and_keeps_nobody_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    old, new = b"o" * 32, b"n" * 32
    before = Bench(peppers=Peppers({"1": old}, current="1"))
    token = await before.key()
    both = Peppers({"1": old, "2": new}, current="2")
    bench = Bench(peppers=both, store=before.store)
    told = bench.store.touch

    async def touch(used: Mapping[str, datetime]) -> None:
        await told(used)
        bench.clock.now += 1
        await bench.keys.verify(token)
        await asyncio.sleep(0)

    monkeypatch.setattr(bench.store, "touch", touch)
    await bench.keys.verify(token)
    await bench.keys.flush()
    assert bench.store.touches == [{"key_1": NOON}]
    renewed = await bench.store.get("key_1")
    assert renewed is not None
    assert renewed.pepper_id == "2"
    await bench.keys.flush()
    assert bench.store.touches[1:] == [{"key_1": NOON + timedelta(seconds=1)}]


async def test_many_uses_are_told_in_batches() -> None:
    bench = Bench()
    for number in range(1100):
        await bench.keys.verify(await bench.key(f"key_{number}"))
    await bench.keys.flush()
    assert [len(batch) for batch in bench.store.touches] == [500, 500, 100]


async def test_a_key_under_an_outdated_pepper_works_and_is_renewed() -> None:
    old, new = b"o" * 32, b"n" * 32
    bench = Bench(peppers=Peppers({"1": old}, current="1"))
    token = await bench.key()
    both = Peppers({"1": old, "2": new}, current="2")
    after = Bench(peppers=both, store=bench.store)
    async with after.keys.lifespan():
        assert isinstance(await after.keys.verify(token), Principal)
        await after.keys.flush()
        renewed = await bench.store.get("key_1")
        assert renewed is not None
        assert (renewed.pepper_id, renewed.digest) == both.digest(token)
        assert isinstance(await after.keys.verify(token), Principal)
    last = Bench(peppers=Peppers({"2": new}, current="2"), store=bench.store)
    assert isinstance(await last.keys.verify(token), Principal)


async def test_a_revocation_of_a_key_under_an_outdated_pepper_is_felt() -> None:
    old, new = b"o" * 32, b"n" * 32
    bench = Bench(peppers=Peppers({"1": old}, current="1"))
    token = await bench.key()
    after = Bench(peppers=Peppers({"1": old, "2": new}, current="2"), store=bench.store)
    async with after.keys.lifespan():
        assert isinstance(await after.keys.verify(token), Principal)
        await bench.change(revoked_at=NOON)
        await after.keys.flush()
        await after.keys.refresh()
        assert await after.keys.verify(token) is Denial.REVOKED


async def test_a_process_behind_the_rotation_of_peppers_does_not_undo_it() -> None:
    old, new = b"o" * 32, b"n" * 32
    ahead = Bench(peppers=Peppers({"1": old, "2": new}, current="2"))
    token = await ahead.key()
    behind = Bench(peppers=Peppers({"1": old, "2": new}, current="1"), store=ahead.store)
    assert isinstance(await behind.keys.verify(token), Principal)
    await behind.keys.flush()
    stored = await ahead.store.get("key_1")
    assert stored is not None
    assert stored.pepper_id == "2"


async def test_the_background_polls_and_flushes() -> None:
    store = Store()
    keys = StoredKeys(store, PEPPERS, poll=0.01, flush=0.01)
    token = new_token()
    async with keys.lifespan():
        assert await keys.verify(token) is Denial.UNKNOWN
        await store.add(record(digest=PEPPERS.digest(token)[1]))

        async def is_known() -> bool:
            return isinstance(await keys.verify(token), Principal)

        async def is_told() -> bool:
            return bool(store.touches)

        await until(is_known)
        await until(is_told)


async def test_silence_and_its_end_are_each_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench()
    for down in (True, True, False, False):
        bench.store.down = down
        await bench.keys.refresh()
    assert [message for *_, message in caplog.record_tuples] == [
        "the key store does not answer: StoreUnavailableError('down')",
        "the key store answers again",
    ]


async def test_a_fault_in_the_store_ends_the_polling_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Faulty(Store):
        async def changed_since(self, mark: str | None) -> tuple[Collection[str] | None, str]:
            if mark is not None:
                raise RuntimeError("a fault")
            return await super().changed_since(mark)

    store = Faulty()
    keys = StoredKeys(store, PEPPERS, poll=0.001)
    async with keys.lifespan():

        async def is_logged() -> bool:
            return bool(caplog.records)

        await until(is_logged)
    assert caplog.records[0].levelno == logging.CRITICAL


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"poll": 0}, "poll must be more than 0"),
        ({"poll": 5}, "at most 4 s, not 5"),
        ({"flush": 0}, "flush must be more than 0"),
        ({"timeout": -1}, "timeout must be more than 0"),
        ({"max_entries": 0}, "max_entries must be more than 0"),
        ({"grace": -1}, "grace must be 0 or more"),
        ({"negative_ttl": -1}, "negative_ttl must be 0 or more"),
        ({"prefix": "a b"}, "The prefix"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, float], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        StoredKeys(Store(), PEPPERS, **settings)  # type: ignore[arg-type]  # as a configuration may have them


@pytest.fixture(params=["sqlite", "postgresql"])
def shared_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty database of each kind."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/keys.db"
    else:
        with postgresql_schema() as url:
            yield url


PROCESS = """
import asyncio, sys
from veneer.auth.stored import StoredKeys
from veneer.keys.peppers import Peppers
from veneer.stores import open_key_store

async def main():
    store = open_key_store(sys.argv[1])
    keys = StoredKeys(store, Peppers({"1": b"1" * 32}, current="1"), poll=0.2)
    async with keys.lifespan():
        last = None
        while last != "Denial.REVOKED":
            answer = await keys.verify(sys.argv[2])
            name = str(answer) if "Denial" in str(answer) else answer.id
            if name != last:
                print(name, flush=True)
            last = name
            await asyncio.sleep(0.01)
    await store.aclose()

asyncio.run(main())
"""


async def test_a_revocation_in_one_process_is_felt_in_another(shared_url: str) -> None:
    store = open_key_store(shared_url)
    token = new_token()
    digest = PEPPERS.digest(token)[1]
    await store.add(record(digest=digest))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROCESS, shared_url, token), stdout=subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        assert await process.stdout.readline() == b"key_1\n"
        used = await store.get("key_1")
        assert used is not None
        assert await store.replace(record(digest=digest, revoked_at=NOON))
        started = time.monotonic()
        assert await process.stdout.readline() == b"Denial.REVOKED\n"
        assert time.monotonic() - started < 5
        assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    found = await store.get("key_1")
    assert found is not None
    assert found.last_used_at is not None
    await store.aclose()


async def test_a_database_that_goes_and_comes_back_needs_no_restart() -> None:
    with postgresql_schema() as url:
        async with gate_to(url) as (gate, through):
            store = open_key_store(through)
            token, other = new_token(), new_token()
            await store.add(record(digest=PEPPERS.digest(token)[1]))
            await store.add(record("key_2", digest=PEPPERS.digest(other)[1]))
            keys = StoredKeys(store, PEPPERS, poll=0.05)
            async with keys.lifespan():
                assert isinstance(await keys.verify(token), Principal)
                await gate.close()
                assert isinstance(await keys.verify(token), Principal)
                assert await keys.verify(other) is Denial.UNAVAILABLE
                await gate.open()
                assert isinstance(await keys.verify(other), Principal)
                assert isinstance(await keys.verify(token), Principal)
            await store.aclose()
