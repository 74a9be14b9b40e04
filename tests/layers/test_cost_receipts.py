"""Receipts beside what upstreams say themselves of costs: no member ever stands twice."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.layers.costs import COST, Watched, ask, charged
from tests.layers.limits import plain
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import (
    COMPLETED,
    DONE,
    RESPONSES,
    RESPONSES_USAGE,
    USAGE,
    chunk,
    compact,
    event,
    usage_chunk,
)
from veneer import facts
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.receipts import aurous_cost_fields, aurous_receipt
from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR

AUROUS = {"receipt": aurous_receipt, "cost_fields": aurous_cost_fields}

# As OpenRouter, LiteLLM and gateways like ours have them, besides what nobody has thought of.
NAMES = st.sampled_from(
    ["cost", "cost_estimated", "cost_details", "credits_charged", "breakdown", "reasoning_tokens"]
)
SAID = st.dictionaries(
    NAMES, st.none() | st.integers(0, 99) | st.floats(0, 1) | st.dictionaries(NAMES, st.none())
)


def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of which no member stands twice."""
    assert len(dict(pairs)) == len(pairs), pairs
    return dict(pairs)


def read(data: bytes) -> Any:
    return json.loads(data, object_pairs_hook=once)


def speaking(app: ASGIApp, dialect: Dialect) -> ASGIApp:
    """Return an app that is asked in a dialect."""

    async def speak(scope: Scope, receive: Receive, send: Send) -> None:
        facts.open_in(scope)
        facts.put(scope, dialect)
        await app(scope, receive, send)

    return speak


async def usage_of(said: dict[str, Any], kind: str, dialect: Dialect) -> tuple[Any, Watched]:
    """Return the usage that a client gets of an upstream that says this besides its tokens."""
    watched = Watched()
    credit = Credits(usd_per_credit=DOLLAR)
    told = {**said, **(RESPONSES_USAGE if kind == "responses" else USAGE)}
    asked = call(stream=True)
    app = Script(chunk("a"), chunk(finish="stop"), usage_chunk(usage=told), DONE, headers=SSE)
    if kind == "plain":
        app, asked = plain(body=json.dumps({"id": "a", "usage": told}).encode()), call()
    elif kind == "finish":
        app = Script(chunk("a"), chunk(finish="stop", usage=told), DONE, headers=SSE)
    elif kind == "asked":
        asked = call(stream=True, stream_options={"include_usage": True})
    elif kind == "responses":
        last = {"type": "response.completed", "response": {**COMPLETED, "usage": told}}
        app = Script(*RESPONSES[:-1], event(last), headers=SSE)
        asked = call("/v1/responses", stream=True, input="x")
    answer = await ask(speaking(charged(app, ledger=watched, credits=credit), dialect), asked)
    if kind == "plain":
        return read(answer.body)["usage"], watched
    data = [line[6:] for line in answer.body.split(b"\n") if line[:7] == b"data: {"]
    body = read(data[-1])
    return body.get("response", body)["usage"], watched


@given(
    said=SAID,
    kind=st.sampled_from(["plain", "merged", "finish", "asked", "responses"]),
    changed=st.sampled_from([{}, AUROUS]),
)
def test_no_member_of_a_usage_stands_twice_and_the_cost_is_ours(
    said: dict[str, Any], kind: str, changed: dict[str, Any]
) -> None:
    dialect = Dialect(**{**{name: getattr(OPENAI, name) for name in FIELDS}, **changed})
    usage, watched = asyncio.run(usage_of(said, kind, dialect))
    shown = usage["credits_charged"] if changed else usage["cost"]
    assert shown == watched.end.total / DOLLAR == COST / DOLLAR
    kept = {name: value for name, value in said.items() if name == "cost_details"}
    assert usage.items() >= kept.items()
    assert usage.items() >= (RESPONSES_USAGE if kind == "responses" else USAGE).items()


FIELDS = Dialect.__struct_fields__


async def test_a_name_may_be_hidden_by_an_escape() -> None:
    usage = compact(USAGE)[:-1] + b',"c\\u006fst":9}'
    answer = await ask(charged(plain(body=b'{"usage":%b}' % usage)))
    assert read(answer.body)["usage"] == {**USAGE, "cost": COST / DOLLAR}


async def test_of_a_member_that_stands_twice_already_ours_is_left() -> None:
    usage = compact(USAGE)[:-1] + b',"cost":1,"cost":2}'
    answer = await ask(charged(plain(body=b'{"usage":%b}' % usage)))
    assert read(answer.body)["usage"] == {**USAGE, "cost": COST / DOLLAR}


@pytest.mark.parametrize("hidden", [b'"usage"', b'"us\\u0061ge"'])
async def test_a_null_in_the_place_of_ours_is_taken_out(hidden: bytes) -> None:
    answer = await ask(charged(plain(body=b'{"id":"a",%b:null}' % hidden)))
    assert read(answer.body)["usage"]["cost_estimated"] is True
