"""Costs as they are configured."""

from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Responder, json_request
from tests.config.test_build import names
from veneer import ConfigurationError, CostMiddleware, Principal, Stack
from veneer.auth.callable import CallableVerifier
from veneer.config import build, parse
from veneer.ledger.memory import MemoryLedger
from veneer.ledger.sqlite import SqliteLedger
from veneer.wiring import chain

PRICES = {"models": [{"model": "m", "input": "1", "output": "2"}]}
ANSWER = b'{"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'


def built(document: dict[str, Any], folder: Path | None = None) -> Stack:
    config = parse(document, folder=folder)
    return build(config, Responder(ANSWER))


def layer_of(stack: Stack) -> CostMiddleware:
    [layer] = [part for part in chain(stack) if isinstance(part, CostMiddleware)]
    return layer


def test_the_layer_is_there_where_something_has_a_price() -> None:
    assert "CostMiddleware" not in names(built({}))
    stacked = names(built({"prices": PRICES}))
    assert stacked.index("CostMiddleware") == stacked.index("RelayMiddleware") - 1


async def test_what_is_configured_is_charged() -> None:
    stack = built({"prices": PRICES})
    async with stack.lifespan():
        answer = await json_request({"model": "m", "messages": [{}]}).run(stack)
        refused = await json_request({"model": "other", "messages": [{}]}).run(stack)
    assert answer.json()["usage"]["cost"] == 0.000011
    assert (refused.status, refused.json()["error"]["code"]) == (400, "model_not_priced")


async def test_options_reach_the_layer() -> None:
    stack = built(
        {
            "prices": {**PRICES, "unpriced": "free"},
            "cost": {"receipts": False, "factor": "1.5", "output_tokens": 7, "on_failure": "open"},
            "budgets": [{"limit": "0.00001", "partition": "all", "period": "day"}],
        }
    )
    async with stack.lifespan():
        answer = await json_request({"model": "other", "messages": [{}]}).run(stack)
        assert answer.json()["usage"] == {
            "prompt_tokens": 5,
            "completion_tokens": 3,
            "total_tokens": 8,
        }
        refused = await json_request({"model": "m", "messages": [{}]}).run(stack)
    assert refused.json()["error"]["code"] == "insufficient_quota"


def test_streams_go_on_unless_they_are_to_be_cut() -> None:
    assert not layer_of(built({"prices": PRICES}))._cuts
    assert layer_of(built({"prices": PRICES, "cost": {"overrun": "cut"}}))._cuts


def test_without_a_ledger_one_worker_keeps_it_in_memory() -> None:
    assert isinstance(layer_of(built({"prices": PRICES}))._ledger, MemoryLedger)


@pytest.mark.parametrize("cost", [{}, {"ledger": "memory://"}])
def test_several_workers_need_a_ledger_that_lasts(cost: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"\[cost\] ledger: in memory, several"):
        built({"prices": PRICES, "cost": cost, "serve": {"workers": 2}, "idempotency": OFF})


OFF = {"enabled": False}


async def test_a_ledger_in_a_file_survives_the_stack(tmp_path: Path) -> None:
    document = {
        "prices": PRICES,
        "cost": {"ledger": "sqlite:///ledger.db"},
        "budgets": [{"limit": "1", "name": "day", "partition": "all", "period": "total"}],
        "serve": {"workers": 2},
        "idempotency": OFF,
    }
    for spent in (11, 22):
        stack = built(document, tmp_path)
        async with stack.lifespan():
            assert (await json_request({"model": "m", "messages": [{}]}).run(stack)).status == 200
        layer = layer_of(stack)
        ledger = layer._ledger
        assert isinstance(ledger, SqliteLedger)
        async with ledger.lifespan():
            accounts = layer._accounts.accounts_for(json_request({}).scope, 1e9)
            [balance] = await ledger.balances(accounts)
        assert (balance.spent, balance.held) == (spent * 10**6, 0)
    assert (tmp_path / "ledger.db").exists()


def test_budgets_may_go_by_callers_where_they_are_asked_who_they_are() -> None:
    async def everybody(_credential: str) -> Principal:
        return Principal(id="me")

    config = parse({"prices": PRICES, "budgets": [{"limit": "1"}]})
    build(config, Responder(), verifier=CallableVerifier(everybody))


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"budgets": [{"limit": "1"}]}, r"\[\[budgets\]\] is set, and nothing has a price"),
        ({"cost": {"ledger": "memory://"}}, r"\[cost\] ledger is set, and nothing has a price"),
        ({"prices": PRICES, "budgets": [{"limit": "1"}]}, "number 1: partition is 'team', and"),
        (
            {"prices": PRICES, "budgets": [{"limit": "lots", "name": "ours"}]},
            r"\[\[budgets\]\] ours: limit: 'lots' is no budget",
        ),
        (
            {"prices": PRICES, "budgets": [{"limit": "1", "timezone": "Mars"}]},
            r"\[\[budgets\]\] number 1: .*Mars",
        ),
        (
            {"prices": PRICES, "budgets": [{"limit": "1", "partition": "all"}] * 2},
            r"\[cost\] Two budgets have the same name",
        ),
        ({"prices": PRICES, "cost": {"ledger": "redis://x"}}, r"\[cost\] ledger: No ledger has"),
        ({"prices": PRICES, "cost": {"factor": "0.5"}}, r"\[cost\] factor is '0.5'"),
        ({"prices": PRICES, "cost": {"ledger": "sqlite:///a:b@/x"}}, r"\[cost\] ledger"),
        ({"prices": PRICES, "budgets": [{}]}, "needs 'limit'"),
    ],
)
def test_what_cannot_be_is_said_with_its_table(document: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        built(document)
