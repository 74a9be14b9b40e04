"""Facts: kept by type, in one entry that outlives copies of the scope."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer import facts
from veneer.facts import RequestFact, RequestId, Usage


class Tenant(RequestFact, frozen=True):
    """A fact of somebody else's."""

    name: str


def test_a_fact_is_found_under_its_type() -> None:
    scope: dict[str, Any] = {}
    facts.put(scope, RequestId("req_1"))
    facts.put(scope, Tenant("a"))

    assert facts.get(scope, RequestId) == RequestId("req_1")
    assert facts.get(scope, Tenant) == Tenant("a")
    assert facts.get(scope, Usage) is None


def test_a_scope_without_facts_has_none() -> None:
    assert facts.get({}, Tenant) is None


def test_the_last_fact_of_a_type_stands() -> None:
    scope: dict[str, Any] = {}
    facts.put(scope, Tenant("a"))
    facts.put(scope, Tenant("b"))

    assert facts.get(scope, Tenant) == Tenant("b")


def test_what_is_put_below_a_copy_of_the_scope_is_seen_above_it() -> None:
    scope: dict[str, Any] = {}
    facts.open_in(scope)
    below = {**scope, "path": "/other"}
    facts.put(below, Tenant("a"))

    assert facts.get(scope, Tenant) == Tenant("a")


def test_a_subclass_is_a_type_of_its_own() -> None:
    class Special(Tenant, frozen=True):
        pass

    scope: dict[str, Any] = {}
    facts.put(scope, Special("a"))

    assert facts.get(scope, Tenant) is None
    assert facts.get(scope, Special) == Special("a")


def test_all_facts_are_those_that_are_put_and_got() -> None:
    scope: dict[str, Any] = {}
    facts.put(scope, Tenant("a"))
    known = facts.all_in(scope)
    known[Usage] = Usage(input_tokens=3)
    facts.put(scope, Tenant("b"))

    assert known == {Tenant: Tenant("b"), Usage: Usage(input_tokens=3)}
    assert facts.get(scope, Usage) == Usage(input_tokens=3)


def test_the_first_to_ask_for_all_facts_opens_them() -> None:
    scope: dict[str, Any] = {}
    known = facts.all_in(scope)
    assert facts.all_in(scope) is known
    facts.put({**scope}, Tenant("a"))

    assert facts.all_in(scope) is known
    assert known == {Tenant: Tenant("a")}
    assert facts.all_in({}) == {}


KINDS = (Tenant, RequestId)


@given(st.lists(st.tuples(st.sampled_from(KINDS), st.text(max_size=2), st.booleans())))
def test_however_facts_are_read_and_written_they_are_the_same(
    puts: list[tuple[Any, str, bool]],
) -> None:
    scope: dict[str, Any] = {}
    for kind, value, directly in puts:
        if directly:
            facts.all_in(scope)[kind] = kind(value)
        else:
            facts.put({**scope} if facts.SCOPE_KEY in scope else scope, kind(value))
        assert facts.get(scope, kind) == facts.all_in(scope)[kind] == kind(value)
    assert [facts.get(scope, kind) for kind in KINDS] == [
        facts.all_in(scope).get(kind) for kind in KINDS
    ]


def test_facts_do_not_change() -> None:
    fact = Tenant("a")
    with pytest.raises(AttributeError):
        fact.name = "b"  # type: ignore[misc]  # the point of the test


def test_facts_can_be_written_down() -> None:
    assert msgspec.json.decode(msgspec.json.encode(Usage(input_tokens=3)), type=Usage) == Usage(
        input_tokens=3
    )
