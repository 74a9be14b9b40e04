"""Composable pure-ASGI middlewares that give a model server what a commercial API has.

A name is imported from its module when it is first asked for: whoever uses one layer waits for no
other.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.middleware import Middleware

    from veneer.auth.verifier import Denial, Verifier
    from veneer.budgets.policy import BudgetPolicy
    from veneer.budgets.thresholds import Crossing
    from veneer.budgets.webhook import ThresholdWebhook
    from veneer.call import Call
    from veneer.catalog.model import Model, Provider
    from veneer.client import Client, client_of
    from veneer.dialects import OPENAI, Dialect, Kind
    from veneer.edits import Edits, edits_of
    from veneer.errors import BrokenResponseError, Error
    from veneer.facts import (
        Cost,
        OwnKeys,
        Principal,
        Relayed,
        Replayed,
        RequestFact,
        RequestId,
        RequestMetadata,
        ResponseFact,
        Route,
        Tried,
        Usage,
        get,
        put,
    )
    from veneer.layer import Layer
    from veneer.layers.admin import AdminMiddleware
    from veneer.layers.auth import AuthMiddleware
    from veneer.layers.balance import BalanceMiddleware
    from veneer.layers.compat import CompatMiddleware
    from veneer.layers.completions import CompletionsMiddleware
    from veneer.layers.cost import CostMiddleware
    from veneer.layers.embeddings import EmbeddingsMiddleware
    from veneer.layers.errors import ErrorMiddleware
    from veneer.layers.estimate import EstimateMiddleware
    from veneer.layers.headers import HeadersMiddleware
    from veneer.layers.health import HealthMiddleware
    from veneer.layers.heartbeat import HeartbeatMiddleware
    from veneer.layers.idempotency import IdempotencyMiddleware
    from veneer.layers.legacy import LegacyMiddleware, Moved
    from veneer.layers.log import LogMiddleware
    from veneer.layers.me import MeMiddleware
    from veneer.layers.models import ModelsMiddleware
    from veneer.layers.operations import OperationsMiddleware
    from veneer.layers.own_keys import OwnKeysMiddleware
    from veneer.layers.ratelimit import RateLimitMiddleware
    from veneer.layers.relay import RelayMiddleware
    from veneer.layers.routing import RoutingMiddleware
    from veneer.ledger.sqlite import SqliteLedger
    from veneer.operations import Endpoint, Operation, endpoint_of
    from veneer.prices.book import PriceBook
    from veneer.prices.price import Price
    from veneer.quotas.policy import QuotaPolicy
    from veneer.routing.preferences import Preferences
    from veneer.routing.target import Target
    from veneer.stack import Stack
    from veneer.upstream.fleet import Fleet
    from veneer.upstream.proxy import Upstream
    from veneer.upstream.router import Router
    from veneer.upstream.transport import PoolLimits, Timeouts
    from veneer.wiring import ConfigurationError

_HOMES = MappingProxyType(
    {
        "OPENAI": "veneer.dialects",
        "AdminMiddleware": "veneer.layers.admin",
        "AuthMiddleware": "veneer.layers.auth",
        "BalanceMiddleware": "veneer.layers.balance",
        "BrokenResponseError": "veneer.errors",
        "BudgetPolicy": "veneer.budgets.policy",
        "Call": "veneer.call",
        "Client": "veneer.client",
        "CompatMiddleware": "veneer.layers.compat",
        "CompletionsMiddleware": "veneer.layers.completions",
        "ConfigurationError": "veneer.wiring",
        "Cost": "veneer.facts",
        "CostMiddleware": "veneer.layers.cost",
        "Crossing": "veneer.budgets.thresholds",
        "Denial": "veneer.auth.verifier",
        "Dialect": "veneer.dialects",
        "Edits": "veneer.edits",
        "EmbeddingsMiddleware": "veneer.layers.embeddings",
        "Endpoint": "veneer.operations",
        "Error": "veneer.errors",
        "ErrorMiddleware": "veneer.layers.errors",
        "EstimateMiddleware": "veneer.layers.estimate",
        "Fleet": "veneer.upstream.fleet",
        "HeadersMiddleware": "veneer.layers.headers",
        "HealthMiddleware": "veneer.layers.health",
        "HeartbeatMiddleware": "veneer.layers.heartbeat",
        "IdempotencyMiddleware": "veneer.layers.idempotency",
        "Kind": "veneer.dialects",
        "Layer": "veneer.layer",
        "LegacyMiddleware": "veneer.layers.legacy",
        "LogMiddleware": "veneer.layers.log",
        "MeMiddleware": "veneer.layers.me",
        "Middleware": "starlette.middleware",
        "Model": "veneer.catalog.model",
        "ModelsMiddleware": "veneer.layers.models",
        "Moved": "veneer.layers.legacy",
        "Operation": "veneer.operations",
        "OperationsMiddleware": "veneer.layers.operations",
        "OwnKeys": "veneer.facts",
        "OwnKeysMiddleware": "veneer.layers.own_keys",
        "PoolLimits": "veneer.upstream.transport",
        "Preferences": "veneer.routing.preferences",
        "Price": "veneer.prices.price",
        "PriceBook": "veneer.prices.book",
        "Principal": "veneer.facts",
        "Provider": "veneer.catalog.model",
        "QuotaPolicy": "veneer.quotas.policy",
        "RateLimitMiddleware": "veneer.layers.ratelimit",
        "RelayMiddleware": "veneer.layers.relay",
        "Relayed": "veneer.facts",
        "Replayed": "veneer.facts",
        "RequestFact": "veneer.facts",
        "RequestId": "veneer.facts",
        "RequestMetadata": "veneer.facts",
        "ResponseFact": "veneer.facts",
        "Route": "veneer.facts",
        "Router": "veneer.upstream.router",
        "RoutingMiddleware": "veneer.layers.routing",
        "SqliteLedger": "veneer.ledger.sqlite",
        "Stack": "veneer.stack",
        "Target": "veneer.routing.target",
        "ThresholdWebhook": "veneer.budgets.webhook",
        "Timeouts": "veneer.upstream.transport",
        "Tried": "veneer.facts",
        "Upstream": "veneer.upstream.proxy",
        "Usage": "veneer.facts",
        "Verifier": "veneer.auth.verifier",
        "client_of": "veneer.client",
        "edits_of": "veneer.edits",
        "endpoint_of": "veneer.operations",
        "get": "veneer.facts",
        "put": "veneer.facts",
    }
)

__all__ = [
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


if not TYPE_CHECKING:
    # Type checkers would take any name at all for one of ours.

    def __getattr__(name: str) -> Any:
        """Return a public name from its module; AttributeError for any other."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(home), name)


def __dir__() -> list[str]:
    """Return the public names."""
    return list(__all__)
