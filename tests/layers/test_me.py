"""The layer that tells callers who they are."""

from typing import Any

import pytest
from starlette.types import ASGIApp

from tests.asgi import Exchange, Responder, http_scope
from tests.layers.limits import Known
from tests.lint import Lint
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.dialects.auriko import auriko
from veneer.dialects.aurous import aurous
from veneer.facts import Principal, Quotas, Standing
from veneer.layer import Layer
from veneer.layers.me import MeMiddleware
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.ledger.memory import MemoryLedger
from veneer.wiring import ConfigurationError

ANN = Principal(id="ann", team="red", scopes=frozenset({"read"}))
DAY = BudgetPolicy("10", partition="team", period="day", disclosed=True)
AURIKO = auriko()


class Away(MemoryLedger):
    """A ledger that does not answer."""

    async def balances(self, _accounts: Any, /) -> Any:
        """Do not."""
        raise LedgerUnavailableError("the disk /secret is gone")


def layered(**options: Any) -> ASGIApp:
    return Known(Lint(MeMiddleware(Lint(Responder(b"app")), **options)), ANN)


async def ask(app: ASGIApp, path: str = "/v1/me", method: str = "GET", *known: object) -> Exchange:
    exchange = Exchange(http_scope(method, path))
    for fact in known:
        facts.put(exchange.scope, fact)
    return await exchange.run(app)


@pytest.mark.parametrize("path", ["/v1/me", "/me"])
async def test_a_caller_is_told_who_it_is(path: str) -> None:
    answer = await ask(layered(), path)
    assert answer.status == 200
    assert (answer.json()["id"], answer.json()["team"]) == ("ann", "red")
    assert answer.header("cache-control") == "no-store"
    assert answer.header("content-length") == str(len(answer.body))


async def test_the_tightest_limit_on_requests_is_told() -> None:
    def standing(unit: str, limit: int, remaining: int) -> Standing:
        return Standing(
            policy="p", unit=unit, limit=limit, window=60.0, remaining=remaining, reset=1.0
        )

    quotas = Quotas(
        (standing("tokens", 5, 1), standing("requests", 90, 80), standing("requests", 60, 50))
    )
    answer = await ask(layered(), "/v1/me", "GET", quotas)
    assert answer.json()["requests_per_minute"] == 60


async def test_head_gets_the_fields_alone() -> None:
    answer = await ask(layered(), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.header("content-length") or 0) > 0


@pytest.mark.parametrize("method", ["POST", "DELETE", "OPTIONS"])
async def test_other_methods_are_not_allowed(method: str) -> None:
    answer = await ask(layered(), method=method)
    assert (answer.status, answer.header("allow")) == (405, "GET, HEAD")


@pytest.mark.parametrize("path", ["/v1/models", "/v1/me/x", "/v1/mee", "/"])
async def test_other_paths_pass(path: str) -> None:
    assert (await ask(layered(), path)).body == b"app"


async def test_budgets_are_told_in_fields_where_the_dialect_has_some() -> None:
    app = layered(ledger=MemoryLedger(), budgets=[DAY])
    assert (await ask(app)).header("x-budget-daily-limit") is None
    assert (await ask(app, "/v1/me", "GET", AURIKO)).header("x-budget-daily-limit") == "10"


async def test_who_one_is_is_told_also_while_the_ledger_is_away() -> None:
    answer = await ask(layered(ledger=Away(), budgets=[DAY]), "/v1/me", "GET", AURIKO)
    assert answer.status == 200
    assert answer.json()["key_id"] == "ann"
    assert answer.header("x-budget-daily-limit") is None


async def test_it_needs_to_know_who_calls() -> None:
    with pytest.raises(ConfigurationError, match="Principal"):
        await ask(MeMiddleware(Responder(b"app")))


class Anybody(Layer):
    """Says that it knows who calls, and lets in somebody whom it does not."""

    writes = (Principal,)


async def test_whoever_calls_without_a_key_is_passed_on() -> None:
    app = Anybody(MeMiddleware(Responder(b"app")))
    assert (await ask(app)).body == b"app"


AUROUS = aurous(versions=["2026-05-15", "2026-01-01"], team_versions={"red": "2026-01-01"})


async def test_a_caller_is_told_of_its_team_where_the_dialect_does() -> None:
    answer = await ask(layered(), "/v1/team", "GET", AUROUS)
    assert (answer.status, answer.header("cache-control")) == (200, "no-store")
    assert answer.json() == {
        "object": "team",
        "id": "red",
        "default_api_version": "2026-01-01",
        "billing_mode": "exempt",
    }
    assert (await ask(layered(), "/v1/team")).body == b"app"
    assert (await ask(layered(team=False), "/v1/team", "GET", AUROUS)).body == b"app"
    assert (await ask(layered(), "/v1/team", "POST", AUROUS)).status == 405


async def test_a_team_that_a_budget_for_all_time_holds_is_metered() -> None:
    total = BudgetPolicy("10", partition="team", period="total")
    for budget, mode in ((total, "metered"), (DAY, "exempt")):
        app = layered(ledger=MemoryLedger(), budgets=[budget])
        assert (await ask(app, "/team", "GET", AUROUS)).json()["billing_mode"] == mode


async def test_of_a_team_nothing_is_told_while_the_ledger_is_away() -> None:
    app = layered(ledger=Away(), budgets=[DAY])
    answer = await ask(app, "/v1/team", "GET", AUROUS)
    assert (answer.status, answer.header("retry-after")) == (503, "1")
    assert "secret" not in answer.body.decode()
