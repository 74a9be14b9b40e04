"""Helpers for users of OpenAI's client: what a call cost, how it was routed, why it failed.

`OpenAI` and `AsyncOpenAI` keep for every call what the service told of it. The rest works on what
any OpenAI client returns and raises. The clients and their streams need the extra `openai`; they
are imported when they are first asked for.
"""

from importlib import import_module
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from veneer.sdk.calls import Recording
from veneer.sdk.errors import (
    APIConnectionError,
    APITimeoutError,
    AuthenticationError,
    BadRequestError,
    BudgetExhaustedError,
    ConflictError,
    InternalServerError,
    NotFoundError,
    PermissionDeniedError,
    RateLimitError,
    UpstreamError,
    VeneerAPIError,
)
from veneer.sdk.failures import map_openai_error
from veneer.sdk.receipt import Receipt, parse_receipt
from veneer.sdk.record import CallMetadata
from veneer.sdk.routing import RoutingCost, RoutingMetadata, RoutingWarning, parse_routing_metadata

if TYPE_CHECKING:
    from veneer.sdk.clients import AsyncOpenAI, OpenAI
    from veneer.sdk.streams import AsyncStream, Stream

__all__ = [
    "APIConnectionError",
    "APITimeoutError",
    "AsyncOpenAI",
    "AsyncStream",
    "AuthenticationError",
    "BadRequestError",
    "BudgetExhaustedError",
    "CallMetadata",
    "ConflictError",
    "InternalServerError",
    "NotFoundError",
    "OpenAI",
    "PermissionDeniedError",
    "RateLimitError",
    "Receipt",
    "Recording",
    "RoutingCost",
    "RoutingMetadata",
    "RoutingWarning",
    "Stream",
    "UpstreamError",
    "VeneerAPIError",
    "map_openai_error",
    "parse_receipt",
    "parse_routing_metadata",
]

_HOMES = MappingProxyType(
    {
        "AsyncOpenAI": "veneer.sdk.clients",
        "AsyncStream": "veneer.sdk.streams",
        "OpenAI": "veneer.sdk.clients",
        "Stream": "veneer.sdk.streams",
    }
)

if not TYPE_CHECKING:
    # Type checkers would take any name at all for one of ours.

    def __getattr__(name: str) -> Any:
        """Return a client or stream; ImportError where the extra is missing."""
        home = _HOMES.get(name)
        if home is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        try:
            import_module("openai")
        except ModuleNotFoundError as error:
            raise ImportError(
                f"veneer.sdk.{name} needs the package {error.name}: install veneer[openai]."
            ) from error
        return getattr(import_module(home), name)
