"""Building a stack from a configuration."""

import inspect
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.asgi import Responder, json_request
from veneer import (
    ConfigurationError,
    HeadersMiddleware,
    HeartbeatMiddleware,
    Layer,
    OperationsMiddleware,
    RelayMiddleware,
    Route,
    Stack,
    Timeouts,
    Upstream,
)
from veneer.config import Config, build, build_upstream, parse
from veneer.config.build import _layer, layers
from veneer.config.table import Table
from veneer.layers.log import LogMiddleware
from veneer.wiring import chain

URL = "http://127.0.0.1:9/v1"


def names(stack: Stack) -> list[str]:
    return [type(part).__name__ for part in chain(stack)][1:]


def test_layers_stand_in_their_order_around_the_upstream() -> None:
    assert names(build(parse({"upstream": {"url": URL}}))) == [
        "HeadersMiddleware",
        "LogMiddleware",
        "HeartbeatMiddleware",
        "ErrorMiddleware",
        "OperationsMiddleware",
        "IdempotencyMiddleware",
        "RelayMiddleware",
        "EmbeddingsMiddleware",
        "CompatMiddleware",
        "Upstream",
    ]


def test_the_log_can_be_left_out() -> None:
    assert "LogMiddleware" not in names(build(parse({"log": {"enabled": False}}), Responder()))


async def test_a_stack_around_an_app_answers() -> None:
    stack = build(parse({"operations": {"max_body": 40}}), Responder(b'{"usage":null}'))
    answer = await json_request({"model": "m", "messages": [{}]}).run(stack)
    assert (answer.status, answer.json()) == (200, {"usage": None})
    assert (await json_request({"model": "m" * 50}).run(stack)).status == 413


@pytest.mark.parametrize(
    ("table", "layer", "options"),
    [
        ("headers", HeadersMiddleware, ["client_ids", "server_timing"]),
        ("log", LogMiddleware, ["format"]),
        ("heartbeat", HeartbeatMiddleware, ["interval", "early_start"]),
        ("operations", OperationsMiddleware, ["max_body"]),
        ("relay", RelayMiddleware, ["inject_usage", "max_observed"]),
    ],
)
def test_defaults_of_a_table_are_those_of_its_layer(
    table: str, layer: type, options: list[str]
) -> None:
    configured: Table = getattr(Config(), table)
    parameters = inspect.signature(layer).parameters
    for option in options:
        assert getattr(configured, option) == parameters[option].default


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({}, r"\[upstream\] url is not set"),
        ({"upstream": {"url": "localhost:8000"}}, r"\[upstream\] 'localhost:8000' is no upstream"),
        ({"upstream": {"url": "ftp://x/"}}, r"\[upstream\] 'ftp://x/' is no upstream"),
        ({"upstream": {"url": "http://x/?a=1"}}, r"\[upstream\] The upstream's URL is a base"),
        ({"upstream": {"url": URL, "api_key": "env:UNSET"}}, "variable UNSET is not set"),
        ({"upstream": {"url": URL, "ca_file": "/none.pem"}}, r"\[upstream\] ca_file must name"),
        ({"upstream": {"url": URL}, "operations": {"allow": ["fils"]}}, "Did you mean 'files'"),
    ],
)
def test_a_value_that_cannot_be_used_is_said_with_its_table(
    document: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build(parse(document))


def test_a_layer_s_refusal_names_its_table() -> None:
    config = parse({"operations": {"allow": ["fils"]}})
    with pytest.raises(ConfigurationError, match=r"\[operations\] 'fils' is no operation"):
        build(config, Responder())


def test_a_stack_that_cannot_be_is_no_table_s_fault() -> None:
    class Reading(Layer):
        """Reads what nothing writes."""

        reads = (Route,)

    with pytest.raises(ConfigurationError, match=r"^Reading reads Route"):
        Stack([_layer("relay", Reading)], Responder())


def test_keys_are_read_when_the_stack_is_built(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-1\n")
    table = {"url": URL, "api_key": ["file:key"], "timeouts": {"read": float("inf")}}
    config = parse({"upstream": table}, folder=tmp_path)
    assert "sk-1" not in repr(config)
    upstream = build_upstream(config)
    assert isinstance(upstream, Upstream)
    assert upstream._credentials.probe() == [(b"authorization", b"Bearer sk-1")]
    assert upstream._transport._timeouts == Timeouts(read=None)  # type: ignore[attr-defined]  # H1


async def test_httpx_can_carry_the_requests() -> None:
    upstream = build_upstream(parse({"upstream": {"url": URL, "transport": "httpx"}}))
    assert isinstance(upstream, Upstream)
    client = upstream._transport._client  # type: ignore[attr-defined]  # of HttpxTransport
    assert isinstance(client, httpx.AsyncClient)
    await client.aclose()


def test_layers_are_records_that_starlette_takes() -> None:
    assert len(layers(Config())) == 9
