"""Partitions: whose counter a request is counted on.

A partition is a tuple of pairs, a namespace and what it is called there: no two namespaces meet,
and nothing that a name may contain makes two names one.
"""

import inspect
from collections.abc import Callable, Sequence
from types import MappingProxyType

from starlette.types import Scope

from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.operations import endpoint_of

Choice = str | Sequence[str] | Callable[[Scope], str | None]
Partitions = Sequence[tuple[str, ...]]
Partitioner = Callable[[Scope], Partitions]

# What there is, and the facts that each cannot do without.
NAMES: MappingProxyType[str, tuple[type, ...]] = MappingProxyType(
    {
        "key": (Principal,),
        "team": (Principal,),
        "user": (Principal,),
        "tag": (Principal,),
        "model": (Call,),
        "operation": (),
        "peer": (),
        "all": (),
    }
)

_ALL = (("all", ""),)


def read_by(partition: Choice) -> tuple[type, ...]:
    """Return the fact types that a partition cannot do without; a callable's are its own affair.

    Raises ValueError for what is neither a name, nor several of them, nor a callable.
    """
    if callable(partition):
        if inspect.iscoroutinefunction(partition):
            raise ValueError("partition is a coroutine function: give a plain one.")
        return ()
    names = _names(partition)
    there_are = f"there are {', '.join(NAMES)}"
    if not names:
        raise ValueError(f"partition is empty: {there_are}.")
    for name in names:
        if name not in NAMES:
            raise ValueError(f"partition has {name!r}: {there_are}, and a callable of your own.")
    if len(set(names)) < len(names):
        raise ValueError("partition has a name twice: leave one.")
    return tuple(dict.fromkeys(kind for name in names for kind in NAMES[name]))


def partitioner(partition: Choice, peers: Peers) -> Partitioner:
    """Return the function from a request's scope to its partitions.

    There is one, except that a principal has one for each of its tags, and that there is none where
    a callable returns None. Names that are given together make one partition together. Who has no
    team or user is counted by the key; who has no principal (a public path), by the peer. The
    function raises TypeError where a callable returns no text. `partition` is one that `read_by`
    has judged.
    """
    if callable(partition):
        return _own(partition)
    first, *others = (_single(name, peers) for name in _names(partition))
    if not others:
        return first

    def combined(scope: Scope) -> Partitions:
        found = first(scope)
        for other in others:
            more = other(scope)
            found = [left + right for left in found for right in more]
        return found

    return combined


def goes_by_principal(partition: Choice) -> bool:
    """Whether requests of one principal, for one operation and model, have the same partitions."""
    return not callable(partition) and "peer" not in _names(partition)


def _names(partition: str | Sequence[str]) -> tuple[str, ...]:
    return (partition,) if isinstance(partition, str) else tuple(partition)


def _own(ask: Callable[[Scope], str | None]) -> Partitioner:
    def own(scope: Scope) -> Partitions:
        name = ask(scope)
        if name is None:
            return ()
        if not isinstance(name, str):
            raise TypeError(f"A partition is a str or None, not {type(name).__name__}.")
        return (("own", name),)

    return own


def _single(name: str, peers: Peers) -> Partitioner:
    def peer(scope: Scope) -> Partitions:
        return (("peer", peers.of(scope).hex()),)

    def of_principal(read: Callable[[Principal], Partitions]) -> Partitioner:
        def partitions(scope: Scope) -> Partitions:
            principal = facts.get(scope, Principal)
            return peer(scope) if principal is None else read(principal)

        return partitions

    found: dict[str, Partitioner] = {
        "key": of_principal(_key),
        "team": of_principal(_team),
        "user": of_principal(_user),
        "tag": of_principal(_tags),
        "model": _model,
        "operation": _operation,
        "peer": peer,
        "all": _everybody,
    }
    return found[name]


def _key(principal: Principal) -> Partitions:
    return (("key", principal.id),)


def _team(principal: Principal) -> Partitions:
    return _key(principal) if principal.team is None else (("team", principal.team),)


def _user(principal: Principal) -> Partitions:
    return _key(principal) if principal.user is None else (("user", principal.user),)


def _tags(principal: Principal) -> Partitions:
    return [("tag", tag) for tag in dict.fromkeys(principal.tags)]


def _model(scope: Scope) -> Partitions:
    call = facts.get(scope, Call)
    return (("model", "" if call is None else call.model or ""),)


def _operation(scope: Scope) -> Partitions:
    endpoint = endpoint_of(scope)
    return (("operation", "" if endpoint is None else endpoint.operation.name),)


def _everybody(_scope: Scope) -> Partitions:
    return _ALL
