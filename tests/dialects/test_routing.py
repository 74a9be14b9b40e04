"""Routing metadata: always what Auriko's client takes."""

import json
from typing import Any, get_args

from auriko.route_types import RoutingMetadata, StructuredWarningType
from hypothesis import given
from hypothesis import strategies as st

from veneer.dialects.routing import Routing, Strategy, Warned, WarningType, auriko_metadata

WARNINGS = st.builds(
    Warned, st.sampled_from(get_args(WarningType)), code=st.text(), message=st.text()
)
ROUTINGS = st.builds(
    Routing,
    provider=st.text(),
    model=st.text(),
    canonical=st.text(),
    strategy=st.sampled_from(get_args(Strategy)),
    cost=st.none() | st.integers(0, 10**18),
    first=st.none() | st.floats(0, 10**6),
    throughput=st.none() | st.floats(0, 10**6),
    warnings=st.lists(WARNINGS, max_size=3).map(tuple),
)


def written(routing: Routing) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(b"{%b}" % auriko_metadata(routing))
    assert list(document) == ["routing_metadata"]
    metadata: dict[str, Any] = document["routing_metadata"]
    return metadata


@given(ROUTINGS)
def test_its_client_takes_whatever_is_told(routing: Routing) -> None:
    read = RoutingMetadata.model_validate(written(routing))
    assert (read.provider, read.provider_model_id) == (routing.provider, routing.model)
    assert (read.model_canonical, read.routing_strategy) == (routing.canonical, routing.strategy)
    assert (read.cost is None) == (routing.cost is None)
    assert len(read.warnings or ()) == len(routing.warnings)


def test_amounts_are_in_dollars_and_times_in_milliseconds() -> None:
    routing = Routing(provider="p", model="m", canonical="c", cost=56_000_000, first=0.01234)
    assert written(routing) == {
        "provider": "p",
        "provider_model_id": "m",
        "model_canonical": "c",
        "routing_strategy": "cost-focus",
        "cost": {"usd": 0.000056},
        "ttft_ms": 12.3,
        "warnings": [],
    }


def test_what_is_not_known_is_left_out() -> None:
    bare = written(Routing(provider="p", model="m", canonical="c"))
    assert bare.keys().isdisjoint({"cost", "ttft_ms", "throughput_tps"})


def test_its_client_knows_the_same_warnings() -> None:
    assert set(get_args(WarningType)) == {kind.value for kind in StructuredWarningType}
