"""The cost layer: what the answers to admitted calls tell of their budgets."""

from typing import Any

import msgspec
import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange
from tests.layers.costs import COST, HELD, TOKEN, Watched, charged
from tests.layers.limits import plain, streaming
from tests.layers.probe import Script, call, upload
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.budgets import auriko_budget_fields, aurous_budget_fields
from veneer.facts import BudgetStanding
from veneer.ledger.entry import Limit
from veneer.prices import money
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits
from veneer.prices.price import Price

AURIKO = msgspec.structs.replace(OPENAI, name="auriko", budget_fields=auriko_budget_fields)
AUROUS = msgspec.structs.replace(OPENAI, name="aurous", budget_fields=aurous_budget_fields)

DAY = BudgetPolicy("1", partition="all", period="day", disclosed=True)
TOTAL = BudgetPolicy("10", partition="all", period="total", disclosed=True)
BALANCE = "x-credits-balance-microdollars"


async def ask(
    layer: ASGIApp, exchange: Exchange | None = None, dialect: Dialect = AURIKO
) -> Exchange:
    exchange = exchange or call()
    facts.put(exchange.scope, dialect)
    return await exchange.run(layer)


def budget_fields(answer: Exchange) -> dict[str, str]:
    return {
        name.decode(): value.decode()
        for name, value in answer.headers
        if name.startswith((b"x-budget", b"x-credits", b"aurous-credits-a"))
    }


async def test_an_answer_tells_its_budgets_as_they_are_with_what_it_cost() -> None:
    layer = charged(plain(), DAY, TOTAL, ledger=Watched())
    for calls in (1, 2):
        answer = await ask(layer)
        assert budget_fields(answer) == {
            "x-budget-daily-limit": "1",
            "x-budget-daily-spend": money.shown(calls * COST),
            BALANCE: str(10**7 - calls * COST // TOKEN),
        }
        assert answer.header("x-cost-usd") == "0.000011"


async def test_a_stream_tells_its_budgets_as_they_were_when_it_was_admitted() -> None:
    layer = charged(streaming(), DAY, TOTAL, ledger=Watched())
    for calls in (0, 1):
        answer = await ask(layer, call(stream=True))
        fields = budget_fields(answer)
        assert fields["x-budget-daily-spend"] == money.shown(calls * COST)
        assert int(fields[BALANCE]) == (10**7 * TOKEN - calls * COST - HELD) // TOKEN


async def test_what_is_not_json_tells_its_budgets_with_its_hold() -> None:
    book = PriceBook([("audio.transcriptions", Price(request=5 * TOKEN))])
    app = Script(b"hi", headers=[(b"content-type", b"text/plain")])
    answer = await ask(charged(app, TOTAL, ledger=Watched(), prices=book), upload())
    assert budget_fields(answer) == {BALANCE: str((10**7 * TOKEN - 5 * TOKEN - 5) // TOKEN)}


@pytest.mark.parametrize("status", [400, 429, 500])
async def test_an_error_of_the_upstream_tells_them_and_holds_nothing_any_more(status: int) -> None:
    app = Script(b'{"error":{}}', status=status)
    answer = await ask(charged(app, DAY, TOTAL, ledger=Watched()))
    assert answer.status == status
    assert budget_fields(answer) == {
        "x-budget-daily-limit": "1",
        "x-budget-daily-spend": "0",
        BALANCE: "10000000",
    }
    assert answer.header("x-cost-usd") is None


async def test_other_calls_that_run_are_counted_as_held() -> None:
    watched = Watched()
    layer = charged(plain(), TOTAL, ledger=watched)
    await ask(charged(plain(), TOTAL, ledger=watched))
    [account] = TOTAL.accounts_for([("all", "")], None, 1.7e9)
    [hold] = watched.holds
    other = msgspec.structs.replace(hold, call="call_other", amount=7 * TOKEN, accounts=(account,))
    await watched.hold(other)
    assert budget_fields(await ask(layer))[BALANCE] == str(10**7 - 2 * COST // TOKEN - 7)


async def test_they_are_there_without_receipts_too() -> None:
    answer = await ask(charged(plain(), TOTAL, ledger=Watched(), receipts=False))
    assert budget_fields(answer)[BALANCE] == str(10**7 - COST // TOKEN)


async def test_credits_are_told_at_what_they_are_worth() -> None:
    worth = Credits(usd_per_credit=TOKEN)
    answer = await ask(charged(plain(), TOTAL, ledger=Watched(), credits=worth), dialect=AUROUS)
    assert budget_fields(answer) == {"aurous-credits-available": str(10**7 - COST // TOKEN)}


async def test_a_limit_that_was_set_since_is_the_one_that_is_told() -> None:
    watched = Watched()
    layer = charged(plain(), DAY, ledger=watched)
    await ask(layer)
    watched.ledger.set_limit(Limit("day", ("all", ""), 5 * 10**12))
    assert budget_fields(await ask(layer))["x-budget-daily-limit"] == "5"


async def test_what_is_not_disclosed_is_not_told() -> None:
    hidden = BudgetPolicy("10", partition="all", period="total")
    assert budget_fields(await ask(charged(plain(), hidden, ledger=Watched()))) == {}


@pytest.mark.parametrize("budgets", [(), (TOTAL,)])
async def test_a_dialect_without_such_fields_is_not_asked_for_them(
    budgets: tuple[BudgetPolicy, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> BudgetStanding:
        raise AssertionError

    monkeypatch.setattr("veneer.budgets.accounts.Accounts.standing", never)
    answer = await ask(charged(plain(), *budgets, ledger=Watched()), dialect=OPENAI)
    assert (answer.status, budget_fields(answer)) == (200, {})


async def test_a_call_outside_all_budgets_tells_of_none() -> None:
    layer = charged(plain(), TOTAL, ledger=Watched(away=True), on_failure="open")
    answer = await ask(layer)
    assert (answer.status, budget_fields(answer)) == (200, {})
