"""Composable pure-ASGI middlewares that give a model server what a commercial API has."""

from starlette.middleware import Middleware

from veneer.auth.verifier import Denial, Verifier
from veneer.call import Call
from veneer.client import Client, client_of
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.edits import Edits, edits_of
from veneer.errors import BrokenResponseError, Error
from veneer.facts import (
    Principal,
    Relayed,
    Replayed,
    RequestFact,
    RequestId,
    ResponseFact,
    Route,
    Usage,
    get,
    put,
)
from veneer.layer import Layer
from veneer.layers.admin import AdminMiddleware
from veneer.layers.auth import AuthMiddleware
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.health import HealthMiddleware
from veneer.layers.heartbeat import HeartbeatMiddleware
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.log import LogMiddleware
from veneer.layers.operations import OperationsMiddleware
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.operations import Endpoint, Operation, endpoint_of
from veneer.quotas.policy import QuotaPolicy
from veneer.stack import Stack
from veneer.upstream.proxy import Upstream
from veneer.upstream.transport import PoolLimits, Timeouts
from veneer.wiring import ConfigurationError

__all__ = [
    "OPENAI",
    "AdminMiddleware",
    "AuthMiddleware",
    "BrokenResponseError",
    "Call",
    "Client",
    "ConfigurationError",
    "Denial",
    "Dialect",
    "Edits",
    "Endpoint",
    "Error",
    "ErrorMiddleware",
    "HeadersMiddleware",
    "HealthMiddleware",
    "HeartbeatMiddleware",
    "IdempotencyMiddleware",
    "Kind",
    "Layer",
    "LogMiddleware",
    "Middleware",
    "Operation",
    "OperationsMiddleware",
    "PoolLimits",
    "Principal",
    "QuotaPolicy",
    "RateLimitMiddleware",
    "RelayMiddleware",
    "Relayed",
    "Replayed",
    "RequestFact",
    "RequestId",
    "ResponseFact",
    "Route",
    "Stack",
    "Timeouts",
    "Upstream",
    "Usage",
    "Verifier",
    "client_of",
    "edits_of",
    "endpoint_of",
    "get",
    "put",
]
