"""The public names: which there are, and that each says what it is for."""

import inspect
import subprocess
import sys
from typing import Any

import msgspec
import pytest

import veneer

NAMES = [
    "OPENAI",
    "AdminMiddleware",
    "AuthMiddleware",
    "BalanceMiddleware",
    "BrokenResponseError",
    "BudgetPolicy",
    "Call",
    "Client",
    "CompatMiddleware",
    "CompletionsMiddleware",
    "ConfigurationError",
    "Cost",
    "CostMiddleware",
    "Crossing",
    "Denial",
    "Dialect",
    "Edits",
    "EmbeddingsMiddleware",
    "Endpoint",
    "Error",
    "ErrorMiddleware",
    "EstimateMiddleware",
    "Fleet",
    "HeadersMiddleware",
    "HealthMiddleware",
    "HeartbeatMiddleware",
    "IdempotencyMiddleware",
    "Kind",
    "Layer",
    "LegacyMiddleware",
    "LogMiddleware",
    "MeMiddleware",
    "Middleware",
    "Model",
    "ModelsMiddleware",
    "Moved",
    "Operation",
    "OperationsMiddleware",
    "OwnKeys",
    "OwnKeysMiddleware",
    "PoolLimits",
    "Preferences",
    "Price",
    "PriceBook",
    "Principal",
    "Provider",
    "QuotaPolicy",
    "RateLimitMiddleware",
    "RelayMiddleware",
    "Relayed",
    "Replayed",
    "RequestFact",
    "RequestId",
    "RequestMetadata",
    "ResponseFact",
    "Route",
    "Router",
    "RoutingMiddleware",
    "SqliteLedger",
    "Stack",
    "Target",
    "ThresholdWebhook",
    "Timeouts",
    "Tried",
    "Upstream",
    "Usage",
    "Verifier",
    "client_of",
    "edits_of",
    "endpoint_of",
    "get",
    "put",
]


def ours(kind: Any) -> bool:
    return getattr(kind, "__module__", "").startswith("veneer")


PUBLIC = [name for name in veneer.__all__ if ours(getattr(veneer, name))]


def test_the_exported_names_are_these() -> None:
    assert sorted(veneer.__all__) == sorted(NAMES)
    assert len(set(veneer.__all__)) == len(veneer.__all__)


def test_nothing_else_looks_public() -> None:
    assert dir(veneer) == sorted(NAMES)
    assert sorted(veneer._HOMES) == sorted(NAMES)
    unknown = "Nothing"
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        getattr(veneer, unknown)


def test_an_import_of_the_package_imports_no_layer() -> None:
    code = "import sys, veneer; print([name for name in sys.modules if name.startswith('veneer.')])"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", PUBLIC)
def test_every_public_name_has_its_docstring(name: str) -> None:
    value = getattr(veneer, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__doc__
        assert value.__doc__.strip()[0].isupper()
    if inspect.isclass(value):
        own = [
            (member, found)
            for member, found in vars(value).items()
            if not member.startswith("_")
            and (inspect.isfunction(found) or isinstance(found, (property, staticmethod)))
        ]
        for member, found in own:
            assert inspect.getdoc(found), f"{name}.{member}"


@pytest.mark.parametrize("name", PUBLIC)
def test_options_are_given_by_name(name: str) -> None:
    """What is wrapped or forwarded to comes first; every option of a layer has a name."""
    value = getattr(veneer, name)
    if not (inspect.isclass(value) and issubclass(value, veneer.Layer)):
        return
    first, *options = list(inspect.signature(value).parameters.values())
    assert first.name == "app"
    assert all(option.kind is inspect.Parameter.KEYWORD_ONLY for option in options)


@pytest.mark.parametrize("name", PUBLIC)
def test_facts_are_frozen(name: str) -> None:
    value = getattr(veneer, name)
    if inspect.isclass(value) and issubclass(value, (veneer.RequestFact, veneer.ResponseFact)):
        assert issubclass(value, msgspec.Struct)
        assert value.__struct_config__.frozen
