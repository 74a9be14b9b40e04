"""Routers, as configured."""

import inspect
import logging
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Responder, http_scope
from veneer.catalog.model import Provider
from veneer.config import build, build_upstream, load, parse
from veneer.config.catalog import build_catalog
from veneer.config.router import preferences
from veneer.config.router_tables import RouterTable
from veneer.layers.compat import CompatMiddleware
from veneer.layers.cost import CostMiddleware
from veneer.layers.routing import RoutingMiddleware
from veneer.routing.preferences import Preferences
from veneer.routing.target import Target
from veneer.upstream.credentials import Shown
from veneer.upstream.fleet import Fleet
from veneer.upstream.proxy import Upstream
from veneer.upstream.router import Router
from veneer.wiring import chain

URL = "http://127.0.0.1:9/v1"
A: dict[str, Any] = {"name": "a", "url": URL}
B: dict[str, Any] = {"name": "b", "url": URL}


def router_of(*targets: dict[str, Any], **tables: Any) -> Router:
    router = build_upstream(parse({"targets": list(targets), **tables}))
    assert isinstance(router, Router)
    return router


def targets_of(*targets: dict[str, Any], **tables: Any) -> tuple[Target, ...]:
    return router_of(*targets, **tables)._roster.targets


def part(app: Any, kind: type) -> Any:
    return next((each for each in chain(app) if isinstance(each, kind)), None)


def test_a_file_says_all_of_a_target(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "b.key").write_text("sk-b")
    monkeypatch.setenv("KEY_A", "sk-a")
    (tmp_path / "veneer.toml").write_text(
        """
        [router]
        optimize = "ttft"
        data_policy = "no_training"
        tries = 2
        health_interval = 5

        [[targets]]
        name = "a"
        url = "http://127.0.0.1:9/v1"
        api_key = "env:KEY_A"
        models = { "gpt-4o" = "azure-gpt4o", "llama-*" = "*" }
        weight = 3
        data_policy = "zdr"
        tier = "priority"
        unknown_parameters = ["seed"]
        capabilities = ["tools"]
        context_window = 8192
        output_cap = 512
        max_concurrent = 4
        requests_per_minute = 60
        [targets.timeouts]
        connect = 1
        [targets.compat]
        max_tokens = "max_tokens"
        [[targets.prices]]
        model = "azure-gpt4o"
        input = "2.5"
        output = "10"

        [[targets]]
        name = "b"
        urls = ["http://127.0.0.1:9/v1", "http://127.0.0.1:10/v1"]
        api_key = "file:b.key"
        models = ["gpt-4o", "small"]
        """
    )
    router = build_upstream(load(tmp_path / "veneer.toml"))
    assert isinstance(router, Router)
    assert router._preferences == Preferences(optimize="ttft", data_policy="no_training")
    assert (router._limits.tries, router._health_interval) == (2, 5)
    a, b = router._roster.targets
    assert (a.weight, a.data_policy, a.tier) == (3, "zdr", "priority")
    assert a.unknown_parameters == {"seed"}
    assert a.capabilities == frozenset({"tools"})
    assert (a.context_window, a.output_cap) == (8192, 512)
    assert (a.max_concurrent, a.requests_per_minute) == (4, 60)
    assert (a.own_name("gpt-4o"), a.own_name("llama-3"), a.own_name("x")) == (
        "azure-gpt4o",
        "llama-3",
        None,
    )
    (offer,) = a.offers(["gpt-4o"], at=0)
    assert offer.price is not None
    assert offer.price.rates["input"] == 2_500_000_000_000
    assert part(a.app, CompatMiddleware)._target.max_tokens == "max_tokens"
    upstream = part(a.app, Upstream)
    assert (upstream.name, upstream._transport._timeouts.connect) == ("a", 1)
    assert upstream._credentials.probe() == [(b"authorization", b"Bearer sk-a")]
    assert isinstance(b.app, Fleet)
    assert (b.own_name("small"), b.own_name("llama-3")) == ("small", None)


def test_defaults_are_those_of_the_router_and_of_targets() -> None:
    parameters = inspect.signature(Router).parameters
    for name in RouterTable.__struct_fields__:
        if name in parameters:
            assert getattr(RouterTable(), name) == parameters[name].default
    assert preferences(RouterTable()) == parameters["preferences"].default
    (target,) = targets_of(A)
    bare = Target(name="a", app=target.app)
    for name in Target.__struct_fields__:
        assert getattr(target, name) == getattr(bare, name)
    assert isinstance(target.app, Upstream)


def test_one_address_for_many_replicas_is_a_fleet() -> None:
    (target,) = targets_of({"name": "a", "dns": "http://vllm.svc:8000/v1"})
    assert isinstance(target.app, Fleet)


def test_a_pattern_is_short_for_all_names_that_match() -> None:
    (target,) = targets_of({**A, "models": "llama-*"})
    assert target.models == {"llama-*": "*"}


def test_the_layers_know_of_the_targets() -> None:
    tables = {
        "router": {"gateway": True, "optimize": "tps"},
        "targets": [{**A, "models": ["m"], "data_policy": "zdr"}, {**B, "models": "*"}],
        "catalog": {"models": [{"id": "m", "aliases": ["n"]}, {"id": "k"}]},
        "prices": {"models": [{"model": "*", "input": "1"}]},
        "own_keys": {"calls": "charge"},
    }
    config = parse(tables)
    stack = build(config)
    options = build_catalog(config.catalog, has_keys=False, targets=config.targets)
    assert options is not None
    assert part(stack, RoutingMiddleware)._preferences == Preferences(optimize="tps")
    found = {model.id: model.providers for model in options["models"]}
    assert found == {
        "m": (Provider("a", "zdr"), Provider("b", "none")),
        "k": (Provider("b", "none"),),
    }
    tariff = part(stack, CostMiddleware)._tariff
    assert (tariff._providers, tariff._free_own_keys) == (("a", "b"), False)


@pytest.mark.parametrize(
    ("gateway", "dialect", "read"),
    [
        (None, "openai", False),
        (None, "auriko", True),
        (False, "auriko", False),
        (True, "openai", True),
    ],
)
def test_calls_say_how_they_are_routed_where_they_may(
    *, gateway: bool | None, dialect: str, read: bool
) -> None:
    router = {} if gateway is None else {"gateway": gateway}
    tables = {"targets": [A], "router": router, "dialect": {"name": dialect}}
    assert (part(build(parse(tables)), RoutingMiddleware) is not None) == read


def test_names_of_the_catalog_are_whole_whatever_they_end_with() -> None:
    models = [{"id": "llama:fast", "aliases": ["mini:cost", "gpt-*"]}]
    tables = {"targets": [A], "router": {"gateway": True}, "catalog": {"models": models}}
    assert part(build(parse(tables)), RoutingMiddleware)._names == {"llama:fast", "mini:cost"}


def test_a_single_upstream_may_have_what_calls_say_read_and_an_app_any_preferences() -> None:
    build(parse({"router": {"gateway": True}, "upstream": {"url": URL}}))
    build(parse({"router": {"optimize": "cost"}}), Responder())


def test_a_target_may_know_less_than_others_of_calls() -> None:
    compat = {"parallel_tool_calls": False, "functions_only": True}
    own, other = targets_of({**A, "compat": compat}, B)
    target = part(own.app, CompatMiddleware)._target
    assert (target.functions_only, target.parallel_tool_calls) == (True, False)
    assert isinstance(other.app, Upstream)


PRICED = {**B, "prices": [{"model": "*", "input": "1"}]}


@pytest.mark.parametrize(
    ("targets", "optimize", "warned"),
    [
        ([A, B], None, False),
        ([A, B], "cost", True),
        ([A, PRICED], None, True),
        ([A, PRICED], "balanced", True),
        ([A, PRICED], "ttft", False),
        ([PRICED], "cost", False),
    ],
)
def test_targets_whose_cost_counts_and_is_not_known_are_told(
    *,
    targets: list[dict[str, Any]],
    optimize: str | None,
    warned: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING, "veneer.config"):
        router_of(*targets, router={} if optimize is None else {"optimize": optimize})
    assert ("'a'" in caplog.text) == warned


def test_no_target_is_shown_what_a_client_has_sent_for_another() -> None:
    target, *_ = targets_of(A, B)
    assert isinstance(target.app, Upstream)
    shown = target.app._credentials.next(http_scope())
    assert isinstance(shown, Shown)
    assert b"authorization" in shown.withheld
