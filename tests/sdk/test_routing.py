"""Routing metadata, of all that OpenAI's client returns and of plain JSON."""

from decimal import Decimal
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response, ResponseCompletedEvent

from veneer.dialects.routing import Routing, Warned, auriko_metadata
from veneer.sdk import RoutingMetadata, RoutingWarning, parse_routing_metadata

REQUIRED: dict[str, Any] = {
    "provider": "demo",
    "provider_model_id": "small-1",
    "model_canonical": "small",
    "routing_strategy": "cost-focus",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=5,
)


def parsed(**members: Any) -> RoutingMetadata | None:
    return parse_routing_metadata({"routing_metadata": members})


@pytest.mark.parametrize("model", [ChatCompletion, ChatCompletionChunk, CreateEmbeddingResponse])
def test_it_is_found_on_answers_and_chunks(model: Any) -> None:
    found = parse_routing_metadata(model.construct(routing_metadata=REQUIRED))
    assert found == RoutingMetadata(**REQUIRED)
    assert parse_routing_metadata(model.construct()) is None


def test_it_is_found_on_responses_and_in_their_events() -> None:
    response = Response.construct(routing_metadata=REQUIRED)
    inside = ResponseCompletedEvent.construct(response=response)
    beside = ResponseCompletedEvent.construct(routing_metadata=REQUIRED)
    for told in (response, inside, beside, {"response": {"routing_metadata": REQUIRED}}):
        assert parse_routing_metadata(told) == RoutingMetadata(**REQUIRED)


def test_all_that_our_dialect_writes_is_read() -> None:
    routing = Routing(
        provider="demo",
        model="small-1",
        canonical="small",
        cost=16_800_000,
        first=0.0125,
        warnings=(Warned("unknown_provider", "unknown", "Nobody is called so."),),
    )
    found = parse_routing_metadata(msgspec.json.decode(b"{%b}" % auriko_metadata(routing)))
    assert found is not None
    assert found.cost is not None
    assert found.cost.usd == Decimal("0.0000168")
    assert found.ttft_ms == 12.5
    warning = RoutingWarning(
        type="unknown_provider", code="unknown", message="Nobody is called so."
    )
    assert found.warnings == (warning,)


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("value", [None, 1, ["demo"]])
def test_without_what_it_always_has_it_is_none(name: str, value: object) -> None:
    assert parsed(**REQUIRED | {name: value}) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"cost": {"usd": "much"}},
        {"cost": {"usd": float("nan")}},
        {"cost": {}},
        {"ttft_ms": "soon"},
        {"warnings": ["careful"]},
        {"throughput_tps": None, "tier": "priority"},
    ],
)
def test_what_else_is_wrong_or_unknown_is_left_out(wrong: dict[str, Any]) -> None:
    assert parsed(**REQUIRED, **wrong) == RoutingMetadata(**REQUIRED)


@pytest.mark.parametrize("told", [None, "text", [], object(), {"routing_metadata": "demo"}])
def test_what_has_none_gives_none(told: object) -> None:
    assert parse_routing_metadata(told) is None


@given(JSON, st.sampled_from([*REQUIRED, "cost", "ttft_ms", "warnings"]))
def test_nothing_that_is_told_raises(value: Any, name: str) -> None:
    parse_routing_metadata(value)
    found = parsed(**REQUIRED | {name: value})
    assert found is None or found.provider in (value, "demo")
