"""`GET /v1/balance` as it is configured: where there are budgets, above the gate, as a request."""

from typing import Any

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.config.test_build import names
from veneer import Principal, Stack
from veneer.auth.callable import CallableVerifier
from veneer.config import build, parse

PRICES = {"models": [{"model": "m", "input": "1", "output": "2"}]}
ANSWER = b'{"usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
BUDGET = {"limit": "1", "partition": "all", "disclosed": True}
KEY = (b"authorization", b"Bearer x")


def built(*budgets: dict[str, Any], **document: Any) -> Stack:
    config = parse({"prices": PRICES, "budgets": list(budgets), **document})
    return build(config, Responder(ANSWER))


async def balance(stack: Stack, *headers: tuple[bytes, bytes]) -> Exchange:
    return await Exchange(http_scope("GET", "/v1/balance", headers)).run(stack)


async def test_it_is_there_where_there_are_budgets_and_shares_their_ledger() -> None:
    stack = built(BUDGET)
    stacked = names(stack)
    at = stacked.index("BalanceMiddleware")
    assert stacked[at + 1] == "OperationsMiddleware"
    async with stack.lifespan():
        await json_request({"model": "m", "messages": [{}]}).run(stack)
        answer = await balance(stack)
    assert answer.json()["budgets"][0]["spent"] == 0.000011
    assert answer.header("x-request-id")


async def test_without_budgets_there_is_no_such_path() -> None:
    stack = built()
    assert "BalanceMiddleware" not in names(stack)
    assert (await balance(stack)).status == 404


async def test_who_has_no_key_is_told_nothing() -> None:
    async def mine(_credential: str) -> Principal:
        return Principal(id="me", team="red", scopes=frozenset({"read"}))

    config = parse({"prices": PRICES, "budgets": [{"limit": "1", "disclosed": True}]})
    stack = build(config, Responder(ANSWER), verifier=CallableVerifier(mine))
    assert (await balance(stack)).status == 401
    assert (await balance(stack, KEY)).json()["available"] == 1


async def test_to_ask_is_a_request_among_others() -> None:
    policy = {"limit": "2/minute", "partition": "all"}
    stack = built(BUDGET, ratelimit={"policies": [policy]})
    answers = [await balance(stack) for _ in range(3)]
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[0].header("x-ratelimit-remaining-requests") == "1"
    other = await Exchange(http_scope("GET", "/v1/rerank")).run(stack)
    assert other.status == 404
