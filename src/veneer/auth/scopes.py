"""Scopes: what a principal may do, judged by method and path before the body is read."""

from types import MappingProxyType

from starlette.types import Scope

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Principal
from veneer.operations import NAMES, endpoint_of, path_below_base

ADMIN = "admin"
SCOPES = frozenset({"read", "write", "full", ADMIN})

_READERS = frozenset({"read", "write", "full"})
_WRITERS = frozenset({"write", "full"})
_ALL = frozenset({"full"})

# OPTIONS asks about a resource and changes none (RFC 9110 §9.3.7).
_WHO_MAY = MappingProxyType(
    {"GET": _READERS, "HEAD": _READERS, "OPTIONS": _READERS, "POST": _WRITERS}
)


def check(principal: Principal) -> None:
    """Raise ValueError for a scope or an operation that there is not."""
    for scope in principal.scopes - SCOPES:
        raise ValueError(
            f"The key {principal.id!r} has the scope {scope!r}: there are "
            f"{', '.join(sorted(SCOPES))}."
        )
    for name in principal.operations or ():
        if name not in NAMES and not name.startswith("/"):
            raise ValueError(
                f"The key {principal.id!r} is held to the operation {name!r}: there are "
                f"{', '.join(sorted(NAMES))}, and paths of your own such as '/rerank'."
            )


def refusal(scope: Scope, principal: Principal) -> Error | None:
    """Return the 403 for what this principal may not ask of the API, or None where it may.

    `read` is GET and HEAD, `write` POST as well, `full` every method; `admin` is no part of them,
    nor they of it. A WebSocket is a call like POST. Where the principal is held to operations,
    paths that are none of those are refused.
    """
    method = scope.get("method", "POST")
    who_may = _WHO_MAY.get(method, _ALL)
    if who_may.isdisjoint(principal.scopes):
        least = "read" if who_may is _READERS else "write" if who_may is _WRITERS else "full"
        return Error(Kind.SCOPE_MISSING, f"This key may not do that: it lacks the scope '{least}'.")
    if principal.operations is not None:
        return _narrowed(scope, principal.operations)
    return None


def admin_refusal(principal: Principal) -> Error | None:
    """Return the 403 for a principal without the admin scope, or None."""
    if ADMIN in principal.scopes:
        return None
    return Error(Kind.SCOPE_MISSING, f"This key may not do that: it lacks the scope '{ADMIN}'.")


def _narrowed(scope: Scope, operations: frozenset[str]) -> Error | None:
    endpoint = endpoint_of(scope)
    if endpoint is not None:
        name = endpoint.operation.name
        if name in operations:
            return None
        return Error(Kind.SCOPE_MISSING, f"This key may not use the operation '{name}'.")
    # An operator's own paths, such as "/rerank", are operations under their own name.
    below = path_below_base(scope)
    if f"/{below}" in operations or f"/v1/{below}" in operations:
        return None
    return Error(Kind.SCOPE_MISSING, "This key may only use the operations that it was given.")
