"""The balance layer: what callers are told of their budgets, and whom it lets pass."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope
from tests.layers.costs import COST, HELD, NOW, TOKEN, Watched, charged
from tests.layers.costs import ask as call
from tests.layers.limits import Known, plain
from tests.lint import Lint
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.balances import aurous_balance
from veneer.facts import Principal
from veneer.layers.balance import BalanceMiddleware
from veneer.ledger.entry import Limit
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.ledger.memory import MemoryLedger
from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR
from veneer.quotas.partition import Choice
from veneer.wiring import ConfigurationError

ME = Principal(id="me", team="red", user="ann", tags=("a", "b"), budgets={"purse": "2"})
# The total, and what is left of it.
TOTAL = BudgetPolicy("10", partition="team", period="total", disclosed=True)
AUROUS = msgspec.structs.replace(OPENAI, name="aurous", balance=aurous_balance)
# The end of the 14th of November 2023.
MIDNIGHT = 1_700_006_400


class Away(MemoryLedger):
    """A ledger that does not answer."""

    async def balances(self, _accounts: Any, /) -> Any:
        """Do not."""
        raise LedgerUnavailableError("the disk /secret is gone")


def layered(
    *budgets: BudgetPolicy,
    principal: Principal | None = ME,
    app: ASGIApp | None = None,
    **more: Any,
) -> ASGIApp:
    options = {"ledger": MemoryLedger(), "clock": lambda: NOW, **more}
    layer = BalanceMiddleware(Lint(app or Responder(b"app")), budgets=budgets, **options)
    return layer if principal is None else Known(Lint(layer), principal)


async def ask(
    layer: ASGIApp, path: str = "/v1/balance", method: str = "GET", dialect: Dialect | None = None
) -> Exchange:
    exchange = Exchange(http_scope(method, path))
    if dialect is not None:
        facts.put(exchange.scope, dialect)
    return await exchange.run(layer)


async def told(layer: ASGIApp) -> list[tuple[str, Any]]:
    """Return the budgets that a caller is told of, with their limits."""
    answer = await ask(layer)
    assert answer.status == 200
    return [(each["budget"], each.get("limit")) for each in answer.json()["budgets"]]


async def test_a_caller_is_told_what_calls_have_spent() -> None:
    watched = Watched()
    day = BudgetPolicy("1", partition="key", period="day", disclosed=True)
    # It is kept until the end: a stack that is gone gives up what its ledger holds.
    spending = charged(plain(), day, TOTAL, ledger=watched, principal=ME)
    await call(spending)
    [hold] = watched.holds
    await watched.hold(msgspec.structs.replace(hold, call="call_2"))
    answer = await ask(layered(day, TOTAL, ledger=watched))
    assert answer.header("cache-control") == "no-store"
    spent, held = (Decimal(amount) / DOLLAR for amount in (COST, HELD))
    assert json.loads(answer.body, parse_float=Decimal) == {
        "object": "balance",
        "currency": "usd",
        "available": 1 - spent - held,
        "budgets": [
            {
                "budget": "day",
                "by": ["key"],
                "period": "day",
                "ends": MIDNIGHT,
                "limit": 1,
                "spent": spent,
                "held": held,
                "remaining": 1 - spent - held,
            },
            {
                "budget": "total",
                "by": ["team"],
                "period": "total",
                "ends": None,
                "limit": 10,
                "spent": spent,
                "held": held,
                "remaining": 10 - spent - held,
            },
        ],
    }
    nobody = Principal(id="other", team="blue")
    assert (await ask(layered(day, TOTAL, ledger=watched, principal=nobody))).json()[
        "available"
    ] == 1


async def test_the_answer_is_the_dialect_s() -> None:
    credits_ = Credits(usd_per_credit=TOKEN)
    watched = Watched()
    await call(charged(plain(), TOTAL, ledger=watched, principal=ME))
    answer = await ask(layered(TOTAL, ledger=watched, credits=credits_), dialect=AUROUS)
    assert answer.json() == {
        "credits": 10**7 - COST // TOKEN,
        "held_credits": 0,
        "available_credits": 10**7 - COST // TOKEN,
        "currency": "credit",
        "billing_mode": "metered",
    }


async def test_limits_are_those_that_count() -> None:
    ledger = MemoryLedger()
    ledger.set_limit(Limit("set", ("team", "red"), 5 * DOLLAR))
    budgets = [
        BudgetPolicy("1", partition="key", name="purse", disclosed=True),
        BudgetPolicy("1", partition="team", name="set", disclosed=True),
        BudgetPolicy("1", partition="user", name="common", disclosed=True),
        BudgetPolicy(None, partition="all", name="none", disclosed=True),
    ]
    limits = await told(layered(*budgets, ledger=ledger))
    assert limits == [("purse", 2), ("set", 5), ("common", 1), ("none", None)]


async def test_what_goes_by_more_than_who_calls_is_left_out() -> None:
    left_out: list[Choice] = ["model", "operation", ["key", "model"], lambda _: "x"]
    there: list[Choice] = [["key", "team"], "tag", "peer"]
    budgets = [
        BudgetPolicy("1", partition=by, name=str(number), disclosed=True)
        for number, by in enumerate([*left_out, *there])
    ]
    assert await told(layered(*budgets)) == [("4", 1), ("5", 1), ("5", 1), ("6", 1)]
    assert await told(layered(budgets[0])) == []


async def test_amounts_are_told_only_where_they_are_disclosed() -> None:
    hidden = BudgetPolicy("777", partition="key")
    answer = await ask(layered(hidden))
    assert answer.json()["available"] is None
    [budget] = answer.json()["budgets"]
    assert sorted(budget) == ["budget", "by", "ends", "period"]
    assert b"777" not in answer.body


async def test_who_is_nobody_stands_by_the_address() -> None:
    by_peer = BudgetPolicy("1", partition="peer", disclosed=True)
    watched = Watched()
    await call(charged(plain(), by_peer, ledger=watched))
    answer = await ask(layered(by_peer, ledger=watched, principal=None))
    assert answer.json()["available"] == 1 - COST / DOLLAR


@pytest.mark.parametrize("path", ["/v1/models", "/v1/balance/", "/v1/balances", "/balance/x", "/"])
async def test_everything_else_passes(path: str) -> None:
    for method in ("GET", "POST"):
        assert (await ask(layered(TOTAL), path, method)).body == b"app"


async def test_the_path_is_below_the_base_and_can_be_another() -> None:
    assert (await ask(layered(TOTAL), "/balance")).json()["object"] == "balance"
    other = layered(TOTAL, path="/me/money")
    assert (await ask(other, "/v1/me/money")).json()["object"] == "balance"
    assert (await ask(other)).body == b"app"
    mounted = Exchange(http_scope("GET", "/api/v1/balance", root_path="/api"))
    assert (await mounted.run(layered(TOTAL))).json()["object"] == "balance"


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS", "TRACE", "brew"])
async def test_other_methods_are_refused(method: str) -> None:
    answer = await ask(layered(TOTAL), method=method)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")
    assert answer.json()["error"]["code"] == "method_not_allowed"


async def test_head_is_get_without_a_body() -> None:
    answer = await ask(layered(TOTAL), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-length") == str(len((await ask(layered(TOTAL))).body))


async def test_while_the_ledger_is_away_the_client_is_told_to_come_again() -> None:
    answer = await ask(layered(TOTAL, ledger=Away()))
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert answer.json()["error"]["code"] == "ledger_unavailable"
    assert b"secret" not in answer.body


async def test_it_needs_somebody_who_says_who_calls_where_budgets_go_by_that() -> None:
    with pytest.raises(ConfigurationError, match="reads Principal"):
        await ask(layered(TOTAL, principal=None))
    everybody = BudgetPolicy("1", partition="all")
    assert (await ask(layered(everybody, principal=None))).status == 200


@pytest.mark.parametrize("path", ["", "/", "balance", "/balance/", "//", "/a/*", "/%61", "/.."])
def test_a_path_that_cannot_be_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path of the balance"):
        layered(TOTAL, path=path)


def test_two_budgets_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        layered(TOTAL, TOTAL)
