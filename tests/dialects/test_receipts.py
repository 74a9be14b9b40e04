"""Receipts: what a call cost, exactly, and in every part."""

import json
from decimal import Decimal
from fractions import Fraction
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.dialects import OPENAI
from veneer.dialects.receipts import (
    aurous_cost_fields,
    aurous_receipt,
    openai_cost_fields,
    openai_receipt,
    usage_member,
)
from veneer.facts import Cost, Usage
from veneer.prices.credits import Credits
from veneer.prices.price import INPUT, OUTPUT
from veneer.wire import splice

CREDITS = Credits()
# A third of a credit has no last digit.
ODD = Credits(usd_per_credit=3 * 10**10)

CHAT = "chat.completions"
PARTS = {"input": 25_000_000, "cached_input": 5_000_000, "output": 100_000_000}


def cost(parts: dict[str, int] | None = None, **members: Any) -> Cost:
    parts = PARTS if parts is None else parts
    known = {"model": "gpt-4o", "price_version": "2026-11-01"}
    return Cost(parts=parts, total=sum(parts.values()), **{**known, **members})


def read(members: bytes) -> dict[str, Any]:
    """Return members as a reader has them that keeps numbers as they are written."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    text = b"{%b}" % members
    found: dict[str, Any] = json.loads(
        text, parse_float=Decimal, parse_int=Decimal, object_pairs_hook=once
    )
    return found


def leaves(breakdown: dict[str, Any]) -> list[Decimal]:
    """Return the numbers in a breakdown, wherever they stand."""
    inner = [
        number
        for value in breakdown.values()
        if isinstance(value, dict)
        for number in value.values()
    ]
    return [value for value in (*breakdown.values(), *inner) if isinstance(value, Decimal)]


# OpenAI


def test_openai_gets_the_cost_in_dollars() -> None:
    assert openai_receipt(cost(), Usage(), CHAT, CREDITS) == b'"cost":0.00013'
    assert openai_cost_fields(cost(), CREDITS) == [(b"x-cost-usd", b"0.00013")]
    assert OPENAI.receipt is openai_receipt
    assert OPENAI.cost_fields is openai_cost_fields
    assert "X-Cost-USD" in OPENAI.exposed


def test_openai_is_told_what_is_estimated() -> None:
    receipt = openai_receipt(cost(estimated=True), Usage(), CHAT, CREDITS)
    assert receipt == b'"cost":0.00013,"cost_estimated":true'


@pytest.mark.parametrize(
    ("total", "text"),
    [
        (0, b"0"),
        (1, b"0.000000000001"),
        (10**12, b"1"),
        (10**13, b"10"),
        (123_456_789_012_345_678, b"123456.789012345678"),
    ],
)
def test_dollars_are_written_as_they_are(total: int, text: bytes) -> None:
    assert openai_receipt(cost({"input": total}), Usage(), CHAT, CREDITS) == b'"cost":' + text


@pytest.mark.parametrize("stream", [False, True])
def test_the_real_client_reads_it(stream: bool) -> None:  # noqa: FBT001 - a table's column
    usage = b'{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}'
    receipt = openai_receipt(cost(), Usage(), CHAT, CREDITS)
    usage = splice.insert(usage, (), receipt)
    kind = b"chat.completion.chunk" if stream else b"chat.completion"
    body = b'{"id":"1","object":"%b","created":1,"model":"m","choices":[],"usage":%b}'
    content = body % (kind, usage)
    response = httpx2.Response(
        200,
        content=b"data: %b\n\ndata: [DONE]\n\n" % content if stream else content,
        headers={"content-type": "text/event-stream" if stream else "application/json"},
    )
    transport = httpx2.MockTransport(lambda _request: response)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(api_key="k", base_url="http://veneer.test/v1", http_client=http) as client,
    ):
        if stream:
            (chunk,) = client.chat.completions.create(model="m", messages=[], stream=True)
            got = chunk.usage
        else:
            got = client.chat.completions.create(model="m", messages=[]).usage
    assert got is not None
    assert got.model_extra == {"cost": 0.00013}


# Aurous


def test_aurous_gets_credits_by_side() -> None:
    assert aurous_receipt(cost(), Usage(), CHAT, CREDITS) == (
        b'"credits_charged":0.013,"breakdown":{"input_credits":0.003,"output_credits":0.01,'
        b'"model":"gpt-4o","pricing_version":"2026-11-01"}'
    )
    assert aurous_cost_fields(cost(), CREDITS) == [(b"aurous-credits-charged", b"0.013")]


def test_reasoning_stands_apart_where_there_was_some() -> None:
    parts = {**PARTS, "reasoning": 50_000_000}
    receipt = read(aurous_receipt(cost(parts), Usage(reasoning_tokens=50), CHAT, CREDITS))
    assert receipt["reasoning_tokens"] == 50
    assert receipt["breakdown"]["reasoning_credits"] == Decimal("0.005")
    assert receipt["breakdown"]["output_credits"] == Decimal("0.01")
    assert receipt["credits_charged"] == Decimal("0.018")


def test_reasoning_that_costs_nothing_is_shown_as_such() -> None:
    receipt = read(aurous_receipt(cost(), Usage(reasoning_tokens=5), CHAT, CREDITS))
    assert receipt["breakdown"]["reasoning_credits"] == 0


def test_what_is_neither_input_nor_output_has_its_own_name() -> None:
    parts = {"requests": 10**10, "tools": 2 * 10**10, "seconds": 3 * 10**10, "images": 4 * 10**10}
    receipt = read(aurous_receipt(cost(parts), Usage(), "responses", CREDITS))
    assert receipt["credits_charged"] == 10
    assert {name: int(value) for name, value in list(receipt["breakdown"].items())[:6]} == {
        "input_credits": 0,
        "output_credits": 0,
        "requests_credits": 1,
        "tools_credits": 2,
        "seconds_credits": 3,
        "images_credits": 4,
    }


def test_an_embedding_is_told_by_what_went_in() -> None:
    parts = {"input": 10_000_000, "input_image": 20_000_000}
    assert aurous_receipt(cost(parts), Usage(), "embeddings", CREDITS) == (
        b'"credits_charged":0.003,"breakdown":{"input":{"text":0.001,"visual":0.002,"video":0},'
        b'"model":"gpt-4o"}'
    )
    assert read(aurous_receipt(cost({}), Usage(), "embeddings", CREDITS))["breakdown"]["input"] == {
        "text": 0,
        "visual": 0,
        "video": 0,
    }


@pytest.mark.parametrize("operation", [CHAT, "embeddings"])
def test_aurous_is_told_what_is_estimated(operation: str) -> None:
    certain = read(aurous_receipt(cost(), Usage(), operation, CREDITS))
    estimated = read(aurous_receipt(cost(estimated=True), Usage(), operation, CREDITS))
    assert "estimated" not in certain["breakdown"]
    assert estimated["breakdown"].pop("estimated") is True
    assert estimated == certain


def test_names_are_json_whatever_they_are() -> None:
    odd = cost(model='a"b\\\n', price_version=None)
    breakdown = read(aurous_receipt(odd, Usage(), CHAT, CREDITS))["breakdown"]
    assert breakdown["model"] == 'a"b\\\n'
    assert breakdown["pricing_version"] is None


COSTS = st.dictionaries(
    st.sampled_from([*INPUT, *OUTPUT, "requests", "tools", "seconds", "images"]),
    st.integers(0, 10**18),
).map(cost)


@given(COSTS, st.sampled_from([CHAT, "embeddings", "responses"]), st.integers(0, 10**6), st.data())
def test_the_parts_that_are_shown_are_the_charge_that_is_shown(
    charged: Cost, operation: str, reasoning: int, data: st.DataObject
) -> None:
    credits_ = Credits(usd_per_credit=data.draw(st.sampled_from([10**10, 3 * 10**10, 1, 7**9])))
    usage = Usage(reasoning_tokens=reasoning)
    receipt = read(aurous_receipt(charged, usage, operation, credits_))
    parts = [Fraction(part) for part in leaves(receipt["breakdown"])]

    assert sum(parts) == Fraction(receipt["credits_charged"])
    exact = Fraction(charged.total, credits_.usd_per_credit)
    assert abs(Fraction(receipt["credits_charged"]) - exact) <= Fraction(len(parts), 2 * 10**12)


@given(COSTS, st.sampled_from([CHAT, "embeddings"]))
def test_credits_that_have_a_last_digit_are_exact(charged: Cost, operation: str) -> None:
    receipt = read(aurous_receipt(charged, Usage(), operation, CREDITS))
    ((_, field),) = aurous_cost_fields(charged, CREDITS)
    assert Fraction(receipt["credits_charged"]) == Fraction(charged.total, 10**10)
    assert Decimal(field.decode()) == receipt["credits_charged"]


@given(COSTS, st.sampled_from([CREDITS, ODD]))
def test_no_number_has_an_exponent(charged: Cost, credits_: Credits) -> None:
    for receipt in (openai_receipt, aurous_receipt):
        text = receipt(charged, Usage(), CHAT, credits_).replace(b"gpt-4o", b"")
        numbers = text.replace(b"-", b"").split(b":")[1:]
        assert not any(
            number[:1].isdigit() and b"e" in number.split(b",")[0].lower() for number in numbers
        )


# Usage that the upstream left out


@pytest.mark.parametrize(
    ("operation", "names"),
    [
        (CHAT, ["prompt_tokens", "completion_tokens", "total_tokens"]),
        ("completions", ["prompt_tokens", "completion_tokens", "total_tokens"]),
        ("embeddings", ["prompt_tokens", "total_tokens"]),
        ("responses", ["input_tokens", "output_tokens", "total_tokens"]),
        ("images.generations", ["input_tokens", "output_tokens", "total_tokens"]),
    ],
)
def test_usage_has_the_names_of_the_operation(operation: str, names: list[str]) -> None:
    usage = Usage(input_tokens=3, output_tokens=4, total_tokens=7)
    plain = read(usage_member(usage, operation, b""))["usage"]
    assert list(plain) == names
    assert [plain[name] for name in names] == ([3, 7] if len(names) == 2 else [3, 4, 7])
    with_cost = read(usage_member(usage, operation, b'"cost":1'))["usage"]
    assert with_cost == {**plain, "cost": 1}
