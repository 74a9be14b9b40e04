"""Whose account is meant: what people write, and the partitions that callers really have."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import http_scope
from veneer import facts
from veneer.auth.peers import Peers
from veneer.budgets.whose import COUNTED_BY, partition_of, whose
from veneer.facts import Principal
from veneer.quotas.partition import NAMES, Choice, partitioner

FULL = Principal(id="key_1", team="acme", user="ann", tags=("a",))
BARE = Principal(id="key_2")


@pytest.mark.parametrize(
    ("who", "by", "partition"),
    [
        ({"team": "acme"}, "team", ("team", "acme")),
        ({"key": "key_2"}, "team", ("key", "key_2")),
        ({"peer": "10.0.0.7"}, "team", ("peer", "0a000007")),
        ({}, "all", ("all", "")),
        ({"all": ""}, "all", ("all", "")),
        ({"model": "m", "key": "k"}, ["key", "model"], ("key", "k", "model", "m")),
        ({"key": "k"}, ["team", "user"], ("key", "k", "key", "k")),
        ({"key": "k", "team": "t"}, ["team", "user"], ("team", "t", "key", "k")),
        ({"model": "m"}, ["all", "model"], ("all", "", "model", "m")),
        ({"model": ""}, "model", ("model", "")),
        ({"own": "x"}, lambda _: "x", ("own", "x")),
        ({"model": "m", "key": "k"}, None, ("model", "m", "key", "k")),
        ({}, None, ("all", "")),
        ({"peer": "2001:db8:0:1::7"}, "peer", ("peer", "20010db800000001")),
        ({"peer": "2001:db8:0:1::/64"}, "peer", ("peer", "20010db800000001")),
        ({"peer": ""}, "peer", ("peer", "")),
        ({"team": "a=b c"}, "team", ("team", "a=b c")),
    ],
)
def test_what_people_write_is_a_partition(
    who: dict[str, str], by: Choice | None, partition: tuple[str, ...]
) -> None:
    assert partition_of(who, by) == partition
    assert partition_of(whose(partition), by) == partition


@pytest.mark.parametrize(
    ("who", "by", "sentence"),
    [
        ({}, "team", "this budget goes by team: say whose of each is meant"),
        ({"key": "k"}, ["key", "model"], "goes by key and model: say"),
        ({"user": "u"}, "team", "goes by team: say"),
        ({"team": "t", "user": "u"}, "team", "goes by team, not by user"),
        ({"team": "t", "key": "k"}, "team", "goes by team, not by key"),
        ({"team": "t"}, "all", "goes by all, not by team"),
        ({"all": "", "team": "t"}, "team", "goes by team, not by all"),
        ({"tame": "t"}, None, "nobody is counted by 'tame': there are team, user"),
        ({"all": "x"}, None, "all is everybody"),
        ({"peer": "example.com"}, None, "'example.com' is no address"),
        ({"peer": "\x00" * 999}, "peer", "is no address"),
    ],
)
def test_what_cannot_be_is_said(who: dict[str, str], by: Choice | None, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        partition_of(who, by)
    assert len(str(refused.value)) < 600


def test_there_is_a_word_for_everything_that_budgets_go_by() -> None:
    assert set(COUNTED_BY) == {*NAMES, "own"}


@given(
    names=st.lists(st.sampled_from(sorted(NAMES)), min_size=1, max_size=4, unique=True),
    principal=st.sampled_from([None, FULL, BARE]),
    client=st.sampled_from([("10.1.2.3", 1), ("2001:db8::1", 1), None]),
)
def test_every_account_that_calls_have_can_be_written(
    names: list[str], principal: Principal | None, client: Any
) -> None:
    """Whoever calls, and whatever a budget goes by: what is shown of it names the same account."""
    scope = http_scope("POST", client=client)
    if principal is not None:
        facts.put(scope, principal)
    for partition in partitioner(names, Peers())(scope):
        assert partition_of(whose(partition), names) == partition
