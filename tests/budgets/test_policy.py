"""Budget policies: whose limit goes before whose, on which accounts, and what cannot be."""

import logging
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import http_scope
from veneer.auth.peers import Peers
from veneer.budgets.policy import MAX_REMEMBERED, BudgetPolicy
from veneer.call import Call
from veneer.facts import Principal
from veneer.ledger.entry import Account
from veneer.prices.money import DOLLAR

# 15 November 2023, and the month that it is in.
AT = 1_700_000_000.5
MONTH = (1_698_796_800, 1_701_388_800)

TEAM = (("team", "t"),)


def who(**budgets: str) -> Principal:
    return Principal(id="me", budgets=budgets)


def limit_of(policy: BudgetPolicy, principal: Principal | None = None) -> int | None:
    (account,) = policy.accounts_for(TEAM, principal, AT)
    return account.limit


def test_each_partition_has_an_account_in_the_period() -> None:
    policy = BudgetPolicy("20", partition="tag")
    assert policy.accounts_for([("tag", "a"), ("tag", "b")], None, AT) == [
        Account("month", ("tag", "a"), *MONTH, 20 * DOLLAR),
        Account("month", ("tag", "b"), *MONTH, 20 * DOLLAR),
    ]
    assert policy.accounts_for([], None, AT) == []


def test_a_policy_goes_by_its_period_and_time_zone() -> None:
    week = BudgetPolicy("1", period="week", timezone="Europe/Berlin", reset_day=7)
    assert week.accounts_for(TEAM, None, AT) == [
        Account("week", ("team", "t"), 1_699_743_600, 1_700_348_400, DOLLAR)
    ]
    total = BudgetPolicy("1", period="total")
    assert total.accounts_for(TEAM, None, AT) == [Account("total", ("team", "t"), 0, None, DOLLAR)]


def test_a_policy_is_called_as_its_period_unless_it_has_a_name() -> None:
    assert BudgetPolicy("1", period="day").name == "day"
    assert BudgetPolicy("1", name="ours: all").name == "ours: all"


@pytest.mark.parametrize("limit", [None, "unlimited"])
def test_without_a_limit_all_is_counted_and_nothing_refused(limit: str | None) -> None:
    assert limit_of(BudgetPolicy(limit)) is None
    assert limit_of(BudgetPolicy(limit), who(month="0.5")) == DOLLAR // 2


def test_a_key_s_own_limit_goes_before_the_common_one() -> None:
    policy = BudgetPolicy("20")
    assert limit_of(policy, who(month="5")) == 5 * DOLLAR
    assert limit_of(policy, who(month="5 USD")) == 5 * DOLLAR
    assert limit_of(policy, who(month="0")) == 0
    assert limit_of(policy, who(month="unlimited")) is None
    assert limit_of(policy, who(day="5")) == 20 * DOLLAR
    assert limit_of(policy, who()) == 20 * DOLLAR


@pytest.mark.parametrize("limit", ["", "five", "-1", "5/day", "\0", "9" * 10**6, "٣"])
def test_a_key_s_limit_that_cannot_be_read_is_logged_once_and_the_default_counts(
    limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = BudgetPolicy("20")
    with caplog.at_level(logging.ERROR, "veneer.cost"):
        for _ in range(3):
            assert limit_of(policy, who(month=limit)) == 20 * DOLLAR
    (line,) = caplog.messages
    assert "the budget month that cannot be read" in line
    assert line.isprintable()
    assert len(line) < 1000


@pytest.mark.parametrize(
    ("limit", "amount"),
    [(7, 7 * DOLLAR), (0.5, DOLLAR // 2), (None, 20 * DOLLAR), ({}, 20 * DOLLAR)],
)
def test_a_verifier_that_leaves_no_text_crashes_nothing(limit: Any, amount: int) -> None:
    assert limit_of(BudgetPolicy("20"), Principal(id="me", budgets={"month": limit})) == amount


@given(st.text())
def test_no_limit_of_a_key_crashes_a_call(limit: str) -> None:
    found = limit_of(BudgetPolicy("20"), who(month=limit))
    assert found is None or found >= 0


def test_what_is_remembered_is_bounded() -> None:
    policy = BudgetPolicy("5")
    for number in range(MAX_REMEMBERED + 100):
        assert limit_of(policy, who(month=str(number))) == number * DOLLAR
    assert policy._own.cache_info().currsize <= MAX_REMEMBERED


def test_a_time_that_no_clock_shows_is_refused() -> None:
    with pytest.raises(ValueError, match="is no time"):
        BudgetPolicy("5").accounts_for(TEAM, None, float("nan"))


# Thresholds


def test_thresholds_that_are_reached_are_crossed_once() -> None:
    policy = BudgetPolicy("10", soft=[1, 0.5, 0.9])
    cent = DOLLAR // 100
    assert policy.crossed(0, 499 * cent, 10 * DOLLAR) == []
    assert policy.crossed(499 * cent, 500 * cent, 10 * DOLLAR) == [0.5]
    assert policy.crossed(500 * cent, 899 * cent, 10 * DOLLAR) == []
    assert policy.crossed(499 * cent, 1100 * cent, 10 * DOLLAR) == [0.5, 0.9, 1.0]
    assert policy.crossed(1000 * cent, 1100 * cent, 10 * DOLLAR) == []
    assert policy.crossed(1100 * cent, 0, 10 * DOLLAR) == []


def test_thresholds_are_what_was_written_to_the_last_picodollar() -> None:
    limit = 10**24
    for soft in (0.1, 0.9, 0.3):
        policy = BudgetPolicy(None, soft=[soft])
        exact = int(str(soft)[2:]) * 10**23
        assert policy.crossed(0, exact - 1, limit) == []
        assert policy.crossed(exact - 1, exact, limit) == [soft]


def test_without_a_limit_nothing_is_crossed() -> None:
    policy = BudgetPolicy(None, soft=[0.5])
    assert policy.crossed(0, 10**30, None) == []
    assert policy.crossed(0, 10**30, 0) == []


SUMS = st.integers(0, 10**15)


@given(SUMS, SUMS, SUMS, st.integers(1, 10**14))
def test_going_on_crosses_what_going_at_once_does(
    first: int, second: int, third: int, limit: int
) -> None:
    policy = BudgetPolicy(None, soft=[0.25, 0.5, 0.99, 1])
    low, middle, high = sorted((first, second, third))
    steps = policy.crossed(low, middle, limit) + policy.crossed(middle, high, limit)
    assert steps == policy.crossed(low, high, limit)


# Options


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"limit": "ten"}, "limit: 'ten' is no budget: give dollars"),
        ({"limit": "-1"}, "limit: '-1' is no budget"),
        ({"limit": 5}, "limit: A int is no budget"),
        ({"limit": 0.5}, "limit: A float is no budget"),
        ({"period": "year"}, "period is 'year'"),
        ({"timezone": "Mars/Olympus"}, "timezone is 'Mars/Olympus'"),
        ({"reset_day": 32}, "reset_day is 32"),
        ({"partition": "keys"}, "partition has 'keys'"),
        ({"partition": []}, "partition is empty"),
        ({"name": ""}, "name is ''"),
        ({"name": "a\nb"}, "name is 'a\\nb'"),
        ({"name": "é"}, "name is 'é'"),
        ({"name": "x" * 65}, "name is 'xxx"),
        ({"soft": [0]}, "soft has 0: give fractions"),
        ({"soft": [-0.5]}, "soft has -0.5"),
        ({"soft": [1.01]}, "soft has 1.01"),
        ({"soft": [80]}, "soft has 80"),
        ({"soft": [float("nan")]}, "soft has nan"),
        ({"soft": [float("inf")]}, "soft has inf"),
        ({"soft": ["half"]}, "soft has 'half'"),
        ({"soft": [None]}, "soft has None"),
        ({"soft": [0.5, 0.5]}, "soft has 0.5 twice: leave one."),
        ({"soft": [n / 100 for n in range(1, 22)]}, "soft has 21 thresholds: give at most 20."),
    ],
)
def test_an_option_that_cannot_be_is_named(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        BudgetPolicy(**{"limit": "20", **options})


def test_a_policy_reads_what_its_partition_needs() -> None:
    assert BudgetPolicy("1").reads == (Principal,)
    assert BudgetPolicy("1", partition="all").reads == ()
    assert BudgetPolicy("1", partition=["team", "model"]).reads == (Principal, Call)
    own = BudgetPolicy("1", partition=lambda _: "x")
    assert own.reads == ()
    assert own.asks_host
    assert not BudgetPolicy("1").asks_host


def test_a_policy_knows_its_partitions() -> None:
    scope = http_scope(client=("192.0.2.1", 1))
    partition = BudgetPolicy("1", partition=["peer", "all"]).partitioner(Peers())
    assert list(partition(scope)) == [("peer", "c0000201", "all", "")]
