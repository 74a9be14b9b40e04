"""Errors that take the place of an answer that is not what was asked for."""

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Route

# Failures that a router has tried others for, where it could.
UPSTREAMS = frozenset([Kind.UPSTREAM_INVALID, Kind.UPSTREAM_INTERRUPTED])

NO_STREAM = Error(
    Kind.UPSTREAM_INVALID, "The model server answered a streaming call without a stream."
)
UNASKED_STREAM = Error(
    Kind.UPSTREAM_INVALID, "The model server answered with a stream that was not asked for."
)
EMPTY = Error(Kind.UPSTREAM_INVALID, "The model server gave an empty response.")


def firm(scope: Scope, error: Error) -> Error:
    """Return an error of the upstream's as it is told of a call that was tried often enough."""
    route = facts.get(scope, Route)
    tried = error.kind in UPSTREAMS and route is not None and route.tries > 1
    return msgspec.structs.replace(error, retry=False) if tried else error
