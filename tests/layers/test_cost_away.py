"""The cost layer while its ledger is away, with a folder where calls wait for it."""

import asyncio
from pathlib import Path

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.layers.costs import BOOK, COST, HELD, NOW, estimated
from tests.layers.limits import plain
from tests.layers.probe import call
from tests.ledger.spools import Model, lines, until
from tests.lint import Lint
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.facts import Route, Tried, Usage
from veneer.layers.cost import CostMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.ledger._spool_lines import decode
from veneer.ledger.entry import Balance, Exhausted, Hold, Settlement
from veneer.ledger.ledger import Ledger
from veneer.ledger.memory import MemoryLedger
from veneer.ledger.sqlite import SqliteLedger
from veneer.lifetime import lifespan

ALL = BudgetPolicy("1", partition="all")


def charged(app: ASGIApp, ledger: Ledger, spool: Path, **options: object) -> CostMiddleware:
    """Return the layer around the relay around an app."""
    given = {"on_failure": "open", "budgets": [ALL], **options}
    return CostMiddleware(
        Lint(RelayMiddleware(Lint(Ends(app)))),
        prices=BOOK,
        ledger=ledger,
        spool=spool,
        estimator=estimated,
        clock=lambda: NOW,
        **given,  # type: ignore[arg-type]  # each is an option
    )


class Ends:
    """An app that takes no part in lifespans."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "http":
            await self._app(scope, receive, send)


async def asked(layer: ASGIApp) -> int | None:
    """Call, and return the status."""
    return (await call().run(Lint(layer))).status


def waiting(folder: Path) -> list[Settlement]:
    """Return what stands in the files of a folder."""
    found = [decode(line) for line in b"".join(lines(folder)).splitlines()]
    return [each for each in found if each is not None]


async def test_calls_outside_the_ledger_wait_on_the_disk_and_get_their_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("veneer.ledger._spool_replay.FIRST_PAUSE", 60.0)
    monkeypatch.setattr("veneer.ledger._spool_replay.LONGEST_PAUSE", 60.0)
    ledger = Model()
    ledger.away = True
    layer = charged(plain(), ledger, tmp_path)
    async with lifespan(layer):
        assert [await asked(layer) for _ in range(3)] == [200] * 3
        there = waiting(tmp_path)
        assert [(each.state, each.total) for each in there] == [("completed", COST)] * 3
        assert [each.hold.amount for each in there if each.hold] == [HELD] * 3
        assert ledger.given == []
        ledger.away = False
        # An answer to a call tells that it is back; what waited goes in before the timer says so.
        assert await asked(layer) == 200
        await until(lambda: len(ledger.rows) == 4)
        await until(lambda: waiting(tmp_path) == [])
    assert list(ledger.rows)[-3:] == [each.call for each in there]
    assert {row.total for row in ledger.rows.values()} == {COST}


async def test_while_it_is_away_one_call_at_a_time_waits_for_its_answer(tmp_path: Path) -> None:
    answers, tries = asyncio.Event(), 0

    class Slow(Model):
        async def hold(self, hold: Hold, /) -> tuple[Balance, ...] | Exhausted:
            nonlocal tries
            tries += 1
            if self.away:
                await answers.wait()
            return await super().hold(hold)

    ledger = Slow()
    ledger.away = True
    layer = charged(plain(), ledger, tmp_path)
    async with lifespan(layer):
        answers.set()
        assert await asked(layer) == 200
        answers.clear()
        trying = asyncio.create_task(asked(layer))
        await until(lambda: tries == 2)
        assert [await asked(layer) for _ in range(3)] == [200] * 3
        trying.cancel()
        await asyncio.wait((trying,))
        trying = asyncio.create_task(asked(layer))
        await until(lambda: tries == 3)
        answers.set()
        assert await trying == 200
        ledger.away = False
        assert await asked(layer) == 200
        assert (tries, len(ledger.held)) == (4, 1)
    assert len(ledger.rows) == 6


async def test_what_was_held_before_waits_there_too(tmp_path: Path) -> None:
    ledger = Model()

    async def leaving(scope: Scope, receive: Receive, send: Send) -> None:
        """Answer while the ledger goes away, which another call finds out."""
        if not ledger.away:
            ledger.away = True
            assert await asked(layer) == 200
        await plain()(scope, receive, send)

    layer = charged(leaving, ledger, tmp_path)
    async with lifespan(layer):
        assert await asked(layer) == 200
        [held] = ledger.held
        outside, inside = waiting(tmp_path)
        assert (inside.call, outside.call != held) == (held, True)
        assert ledger.given == []
        ledger.away = False
        await until(lambda: list(ledger.rows) == [outside.call, held])
    assert len(ledger.held) == 2


async def test_what_failed_tries_used_waits_there_too(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    tried = Tried(target="west", why="broken", usage=Usage(input_tokens=7, total_tokens=7))
    route = Route(target="east", status=200, tried=(tried,))

    async def routed(scope: Scope, receive: Receive, send: Send) -> None:
        facts.put(scope, route)
        await plain()(scope, receive, send)

    layer = charged(routed, ledger, tmp_path)
    async with lifespan(layer):
        assert await asked(layer) == 200
        main, row = waiting(tmp_path)
        assert (main.target, main.total) == ("east", COST)
        assert (row.target, row.total, row.usage) == ("west", 0, tried.usage)
        ledger.away = False
        assert await asked(layer) == 200
        await until(lambda: len(ledger.rows) == 4)


async def test_where_no_call_is_made_what_runs_already_waits_there(tmp_path: Path) -> None:
    ledger = Model()
    ledger.away = True
    layer = charged(plain(), ledger, tmp_path, on_failure="closed")
    async with lifespan(layer):
        assert await asked(layer) == 503
        ledger.away = False
        assert await asked(layer) == 200
        assert waiting(tmp_path) == []
    assert len(ledger.given) == 1


async def test_without_room_no_further_call_is_made_and_nothing_is_lost(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = Model()
    ledger.away = True
    layer = charged(plain(), ledger, tmp_path, max_spool=1000)
    async with lifespan(layer):
        statuses = [await asked(layer) for _ in range(5)]
        made = statuses.count(200)
        assert statuses == [200] * made + [503] * (5 - made)
        assert 1 <= made < 5
        assert len(waiting(tmp_path)) == made
        assert caplog.text.count("nothing more can wait for the ledger") == 1
        ledger.away = False
        await until(lambda: len(ledger.rows) == made)
        spool = layer._till._spool
        await until(lambda: spool is not None and spool.has_room)
        ledger.away = True
        assert await asked(layer) == 200


async def test_a_disk_that_is_full_is_like_a_spool_that_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    ledger = Model()
    ledger.away = True
    layer = charged(plain(), ledger, tmp_path)
    async with lifespan(layer):
        with monkeypatch.context() as disk:
            disk.setattr("os.write", full)
            assert [await asked(layer) for _ in range(2)] == [200, 503]
        assert len(ledger.given) == 1, "what was made is not lost"


async def test_who_is_cancelled_at_the_end_loses_nothing(tmp_path: Path) -> None:
    ledger, reached = Model(), 0
    ledger.away = True

    async def counting(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal reached
        reached += 1
        await plain()(scope, receive, send)

    layer = charged(counting, ledger, tmp_path)
    async with lifespan(layer):
        for steps in range(30):
            task = asyncio.create_task(call().run(layer))
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait((task,))
        assert await asked(layer) == 200
        assert reached > 10
        ledger.away = False
    assert len(ledger.rows) == len(ledger.given) >= reached


async def test_replayed_calls_count_in_their_budgets(tmp_path: Path) -> None:
    """A real ledger, whose file cannot be opened for a while."""
    path, hidden = tmp_path / "ledger", tmp_path / "hidden"
    policy = BudgetPolicy("0.000060", partition="all")
    layer = charged(plain(), SqliteLedger(path), tmp_path / "spool", budgets=[policy])
    path.mkdir()
    async with lifespan(layer):
        assert [await asked(layer) for _ in range(5)] == [200] * 5, "outside all budgets"
        path.rename(hidden)
        await until(lambda: waiting(tmp_path / "spool") == [])
        assert await asked(layer) == 429, "5 times 11 are spent, of 60"


@pytest.mark.parametrize("ledger", [None, MemoryLedger()])
def test_a_ledger_in_memory_has_no_spool(tmp_path: Path, ledger: Ledger | None) -> None:
    with pytest.raises(ValueError, match="spool: a ledger in memory is never away"):
        CostMiddleware(RelayMiddleware(plain()), prices=BOOK, ledger=ledger, spool=tmp_path)
