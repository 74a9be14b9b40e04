"""Receipts: whatever our dialects write is read, whole and exactly."""

import json
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CompletionUsage, CreateEmbeddingResponse
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseCompletedEvent

from tests.sdk.test_routing import JSON, REQUIRED
from veneer.dialects.receipts import (
    aurous_cost_fields,
    aurous_receipt,
    openai_cost_fields,
    openai_receipt,
)
from veneer.facts import Cost, Usage
from veneer.prices.credits import Credits
from veneer.sdk import Receipt, parse_receipt

PICODOLLARS = 10**12
CREDITS = Credits()
USAGE = Usage(input_tokens=10, output_tokens=27, reasoning_tokens=7)


def cost_of(*, estimated: bool = False, **parts: int) -> Cost:
    return Cost(
        total=sum(parts.values()),
        parts=parts,
        model="small",
        price_version="v1",
        estimated=estimated,
    )


def told(members: bytes) -> dict[str, Any]:
    """Return an answer with these members of usage, as OpenAI's client decodes it."""
    answer: dict[str, Any] = json.loads(b'{"usage":{%b}}' % members)
    return answer


AMOUNTS = st.integers(0, 10_000 * PICODOLLARS)


@given(inputs=AMOUNTS, outputs=AMOUNTS, reasoning=AMOUNTS, estimated=st.booleans())
def test_credits_and_their_parts_are_read(
    inputs: int, outputs: int, reasoning: int, *, estimated: bool
) -> None:
    cost = cost_of(estimated=estimated, input=inputs, output=outputs, reasoning=reasoning)
    receipt = parse_receipt(told(aurous_receipt(cost, USAGE, "chat.completions", CREDITS)))
    assert receipt is not None
    assert receipt.unit == "credit"
    assert (receipt.model, receipt.price_version) == ("small", "v1")
    assert receipt.estimated == estimated
    assert list(receipt.parts) == ["input", "output", "reasoning"]
    # A number of JSON that a float holds has 15 digits.
    assert float(receipt.total) == pytest.approx(cost.total / PICODOLLARS * 100, rel=1e-12)
    assert float(sum(receipt.parts.values())) == pytest.approx(float(receipt.total), rel=1e-12)


def test_credits_of_embeddings_stand_by_what_was_embedded() -> None:
    members = aurous_receipt(cost_of(input=30_000_000), USAGE, "embeddings", CREDITS)
    assert parse_receipt(told(members)) == Receipt(
        total=Decimal("0.003"),
        unit="credit",
        parts={"text": Decimal("0.003"), "visual": Decimal(0), "video": Decimal(0)},
        model="small",
    )


@pytest.mark.parametrize("estimated", [False, True])
def test_dollars_are_read(*, estimated: bool) -> None:
    members = openai_receipt(cost_of(input=1, estimated=estimated), USAGE, "responses", CREDITS)
    expected = Receipt(total=Decimal("0.000000000001"), unit="usd", estimated=estimated)
    assert parse_receipt(told(members)) == expected


def test_models_of_the_client_and_events_are_read_like_json() -> None:
    usage = CompletionUsage.construct(cost=0.5)
    for answer in (
        ChatCompletion.construct(usage=usage),
        CreateEmbeddingResponse.construct(usage=usage),
        Response.construct(usage=usage),
        ResponseCompletedEvent.construct(response=Response.construct(usage=usage)),
    ):
        assert parse_receipt(answer) == Receipt(total=Decimal("0.5"), unit="usd")


def test_a_cost_that_stands_in_routing_metadata_only_is_read() -> None:
    answer = {"usage": {"total_tokens": 3}, "routing_metadata": {**REQUIRED, "cost": {"usd": 2}}}
    assert parse_receipt(answer) == Receipt(total=Decimal(2), unit="usd")


def test_headers_tell_what_the_body_does_not() -> None:
    cost = cost_of(input=1_234_000_000)
    for fields, total, unit in (
        (openai_cost_fields(cost, CREDITS), "0.001234", "usd"),
        (aurous_cost_fields(cost, CREDITS), "0.1234", "credit"),
        (aurous_cost_fields(cost, CREDITS, b"acme"), "0.1234", "credit"),
    ):
        headers = {"Content-Type": "x", **{name.decode(): told.decode() for name, told in fields}}
        receipt = parse_receipt(None, headers)
        assert receipt is not None
        assert (receipt.total, receipt.unit) == (Decimal(total), unit)
        assert parse_receipt({"usage": {"cost": 7}}, headers) == Receipt(
            total=Decimal(7), unit="usd"
        )


@pytest.mark.parametrize("amount", [None, True, "much", [], float("nan"), float("inf"), "NaN"])
def test_what_is_no_amount_is_no_receipt(amount: object) -> None:
    assert parse_receipt({"usage": {"credits_charged": amount}}) is None
    assert parse_receipt({"usage": {"cost": amount}}) is None
    assert parse_receipt(None, {"x-cost-usd": str(amount)}) is None


def test_a_part_that_is_no_amount_is_left_out() -> None:
    usage = {"credits_charged": 1, "breakdown": {"input_credits": 1, "output_credits": "?"}}
    receipt = parse_receipt({"usage": usage})
    assert receipt is not None
    assert receipt.parts == {"input": Decimal(1)}


@given(JSON, JSON)
def test_nothing_that_is_told_raises(value: Any, breakdown: Any) -> None:
    parse_receipt(value)
    parse_receipt({"usage": value})
    receipt = parse_receipt({"usage": {"credits_charged": 1, "breakdown": breakdown}})
    assert receipt is not None
    assert msgspec.json.encode(receipt)
