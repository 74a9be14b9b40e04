"""Partitions: whose counter a request is counted on, and that no two of them are mixed up."""

from collections.abc import Sequence
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Scope

from tests.asgi import http_scope
from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.operations import FIXED, Endpoint, Operation
from veneer.quotas.partition import NAMES, Choice, Partitions, partitioner, read_by

PEER = ("peer", "c0000201")
NASTY = ["a", "a/b", "a\nb", "a\0b", "a:b", "", "a,b", "🙂", "\ud800", "key", "team"]
texts = st.sampled_from(NASTY) | st.text(max_size=5)
principals = st.builds(
    Principal,
    id=texts,
    team=st.none() | texts,
    user=st.none() | texts,
    tags=st.lists(texts, max_size=3).map(tuple),
)
choices = st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=3, unique=True)


def scope_of(principal: Principal | None = None, call: Call | None = None) -> Scope:
    scope = http_scope(path="/v1/embeddings", client=("192.0.2.1", 1))
    facts.open_in(scope)
    for fact in (principal, call):
        if fact is not None:
            facts.put(scope, fact)
    return scope


def partitions(choice: Choice, scope: Scope) -> Partitions:
    read_by(choice)
    return partitioner(choice, Peers())(scope)


ME = Principal(id="me", team="t", user="u", tags=("x", "y", "x"))
CALL = Call(FIXED["chat/completions"], "gpt")


@pytest.mark.parametrize(
    ("choice", "found"),
    [
        ("key", [("key", "me")]),
        ("team", [("team", "t")]),
        ("user", [("user", "u")]),
        ("tag", [("tag", "x"), ("tag", "y")]),
        ("model", [("model", "gpt")]),
        ("operation", [("operation", "embeddings")]),
        ("peer", [PEER]),
        ("all", [("all", "")]),
        (["key"], [("key", "me")]),
        (("team", "model"), [("team", "t", "model", "gpt")]),
        (["tag", "operation"], [("tag", tag, "operation", "embeddings") for tag in "xy"]),
    ],
)
def test_each_name_has_its_partition(choice: Choice, found: list[tuple[str, ...]]) -> None:
    assert list(partitions(choice, scope_of(ME, CALL))) == found


@pytest.mark.parametrize("choice", ["team", "user"])
def test_who_has_no_team_or_user_is_counted_by_the_key(choice: str) -> None:
    assert list(partitions(choice, scope_of(Principal(id="me")))) == [("key", "me")]


def test_who_has_no_tags_is_not_counted_by_them() -> None:
    assert list(partitions("tag", scope_of(Principal(id="me")))) == []
    assert list(partitions(["tag", "key"], scope_of(Principal(id="me")))) == []


@pytest.mark.parametrize("choice", ["key", "team", "user", "tag", "peer"])
def test_who_has_no_principal_is_counted_by_the_peer(choice: str) -> None:
    assert list(partitions(choice, scope_of())) == [PEER]


def test_proxies_that_are_trusted_name_the_peer() -> None:
    scope = http_scope(client=("10.0.0.1", 1), headers=[(b"x-forwarded-for", b"192.0.2.1")])
    assert list(partitioner("key", Peers(["10.0.0.0/8"]))(scope)) == [PEER]
    assert list(partitioner("key", Peers())(scope)) == [("peer", "0a000001")]


@pytest.mark.parametrize("call", [None, Call(FIXED["models"])])
def test_calls_without_a_model_are_counted_together(call: Call | None) -> None:
    assert list(partitions("model", scope_of(ME, call))) == [("model", "")]


def test_an_operation_of_the_operator_s_own_is_known_by_its_endpoint() -> None:
    scope = scope_of()
    facts.put(scope, Endpoint(Operation("/rerank"), b"rerank"))
    assert list(partitions("operation", scope)) == [("operation", "/rerank")]


def test_a_path_that_is_no_operation_s_is_counted_with_others_of_its_kind() -> None:
    assert list(partitions("operation", http_scope(path="/nothing"))) == [("operation", "")]


def test_a_callable_names_the_partition() -> None:
    assert list(partitions(lambda scope: scope["path"], scope_of(ME))) == [
        ("own", "/v1/embeddings")
    ]
    assert list(partitions(lambda _: None, scope_of(ME))) == []


@pytest.mark.parametrize("name", [7, b"a", True])
def test_a_callable_that_returns_no_text_raises(name: object) -> None:
    with pytest.raises(TypeError, match="A partition is a str or None"):
        partitions(cast("Any", lambda _: name), scope_of(ME))


async def _asynchronous(_scope: Scope) -> str:
    return ""


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("keys", "partition has 'keys': there are key, team"),
        ("", "partition has ''"),
        ([], "partition is empty"),
        (["key", "nothing"], "partition has 'nothing'"),
        (["key", "team", "key"], "partition has a name twice"),
        (_asynchronous, "partition is a coroutine function"),
    ],
)
def test_what_is_no_partition_is_refused(choice: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        read_by(choice)


@pytest.mark.parametrize(
    ("choice", "kinds"),
    [
        ("key", (Principal,)),
        ("model", (Call,)),
        ("all", ()),
        (["user", "model", "team"], (Principal, Call)),
        (lambda _: None, ()),
    ],
)
def test_a_partition_reads_what_it_cannot_do_without(
    choice: Choice, kinds: tuple[type, ...]
) -> None:
    assert read_by(choice) == kinds


def _identities(names: Sequence[str], principal: Principal) -> set[tuple[tuple[str, str], ...]]:
    """Return, in other words than the code's, who a principal is under these names."""
    found: list[tuple[tuple[str, str], ...]] = [()]
    for name in names:
        own = {
            "key": [("k", principal.id)],
            "team": [("k", principal.id) if principal.team is None else ("t", principal.team)],
            "user": [("k", principal.id) if principal.user is None else ("u", principal.user)],
            "tag": [("tag", tag) for tag in principal.tags],
        }.get(name, [(name, "")])
        found = [(*left, right) for left in found for right in own]
    return set(found)


@given(choices, principals, principals)
def test_two_principals_share_a_counter_only_where_they_are_one(
    names: list[str], one: Principal, other: Principal
) -> None:
    mine, others = (set(partitions(names, scope_of(who, CALL))) for who in (one, other))
    shared = _identities(names, one) & _identities(names, other)
    assert len(mine & others) == len(shared)
    assert len(mine) == len(_identities(names, one))


@given(texts, st.permutations(["key", "team", "user", "tag", "model", "own"]))
def test_one_text_in_two_namespaces_is_two_partitions(text: str, names: list[str]) -> None:
    principal = Principal(id=text, team=text, user=text, tags=(text,))
    scope = scope_of(principal, Call(FIXED["completions"], text))
    choices: list[Choice] = [(lambda _: text) if name == "own" else name for name in names]
    found = {part for choice in choices for part in partitions(choice, scope)}
    assert len(found) == len(names)
    assert PEER not in found
