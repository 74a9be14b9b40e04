"""Accounts: on which ones a call is counted, and how they stand for its caller."""

import pytest
from starlette.types import Scope

from tests.asgi import http_scope
from veneer import facts
from veneer.auth.peers import Peers
from veneer.budgets.accounts import Accounts
from veneer.budgets.policy import BudgetPolicy
from veneer.call import Call
from veneer.facts import BudgetStanding, Principal
from veneer.ledger.entry import Account, Balance, Exhausted
from veneer.operations import Operation
from veneer.prices.money import DOLLAR

AT = 1_700_000_000.5
DAY = (1_699_920_000, 1_700_006_400)


def accounts(*policies: BudgetPolicy) -> Accounts:
    return Accounts(policies, peers=Peers())


def scope_of(principal: Principal | None) -> Scope:
    scope = http_scope()
    if principal is not None:
        facts.put(scope, principal)
    return scope


ME = Principal(id="k", team="t", tags=("a", "b"), budgets={"day": "2"})


def test_a_call_is_counted_under_every_policy_in_their_order() -> None:
    every = accounts(
        BudgetPolicy("10", period="day"),
        BudgetPolicy("5", name="each tag", partition="tag", period="total"),
        BudgetPolicy(None, name="key", partition="key", period="day"),
    )
    assert every.accounts_for(scope_of(ME), AT) == (
        Account("day", ("team", "t"), *DAY, 2 * DOLLAR),
        Account("each tag", ("tag", "a"), 0, None, 5 * DOLLAR),
        Account("each tag", ("tag", "b"), 0, None, 5 * DOLLAR),
        Account("key", ("key", "k"), *DAY, None),
    )


def test_what_is_remembered_of_a_caller_is_of_it_alone_and_ends_with_the_period() -> None:
    every = accounts(
        BudgetPolicy("10", period="day"), BudgetPolicy("5", name="all", partition="all")
    )
    me, other = Principal(id="k", team="t"), Principal(id="k", team="u")
    first = every.accounts_for(scope_of(me), AT)
    assert every.accounts_for(scope_of(Principal(id="k", team="t")), AT + 1) is first
    assert every.accounts_for(scope_of(other), AT)[0].partition == ("team", "u")
    assert every.accounts_for(scope_of(me), AT - 1) is first
    assert every.accounts_for(scope_of(me), DAY[1])[0].starts == DAY[1]
    assert every.accounts_for(scope_of(me), DAY[0] - 1)[0].ends == DAY[0]


def test_what_a_call_asks_for_is_looked_at_each_time() -> None:
    every = accounts(BudgetPolicy("10", partition=["key", "model"], period="total"))
    for model in ("a", "b"):
        scope = scope_of(Principal(id="k"))
        facts.put(scope, Call(Operation("chat.completions"), model))
        assert every.accounts_for(scope, AT)[0].partition == ("key", "k", "model", model)


def test_callers_without_end_are_not_all_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("veneer.budgets.accounts.MAX_REMEMBERED", 2)
    every = accounts(BudgetPolicy("10", partition="key", period="total"))
    for key in "abcab":
        [account] = every.accounts_for(scope_of(Principal(id=key)), AT)
        assert account.partition == ("key", key)
        assert len(every._known) <= 2


def test_who_has_no_team_pays_by_the_key_and_who_is_nobody_by_the_address() -> None:
    every = accounts(BudgetPolicy("10", period="total"))
    alone = every.accounts_for(scope_of(Principal(id="k")), AT)
    nobody = every.accounts_for(scope_of(None), AT)
    assert [account.partition for account in alone] == [("key", "k")]
    assert [account.partition for account in nobody] == [("peer", "7f000001")]


def test_no_policy_is_no_account() -> None:
    assert accounts().accounts_for(scope_of(ME), AT) == ()


def test_a_partition_of_the_host_is_asked_once_for_each_policy() -> None:
    asked: list[Scope] = []

    def region(scope: Scope) -> str | None:
        asked.append(scope)
        return "eu" if len(asked) == 1 else None

    every = accounts(
        BudgetPolicy("1", name="a", partition=region, period="total"),
        BudgetPolicy("1", name="b", partition=region, period="total"),
    )
    assert every.accounts_for(scope_of(ME), AT) == (Account("a", ("own", "eu"), 0, None, DOLLAR),)
    assert len(asked) == 2
    assert every.asks_host
    assert not accounts(BudgetPolicy("1")).asks_host


def test_two_budgets_of_one_name_would_count_twice() -> None:
    with pytest.raises(ValueError, match="Two budgets have the same name, of these: day, day"):
        accounts(BudgetPolicy("1", period="day"), BudgetPolicy("1", period="day", partition="key"))


def test_policies_read_what_any_of_them_needs() -> None:
    every = accounts(
        BudgetPolicy("1", name="a", partition="all"),
        BudgetPolicy("1", name="b", partition=["team", "model"]),
        BudgetPolicy("1", name="c"),
    )
    assert every.reads == (Principal, Call)


def test_a_balance_stands_as_its_caller_may_be_told() -> None:
    policy = BudgetPolicy("10", name="ours", partition=["team", "model"], period="day")
    every = accounts(policy, BudgetPolicy("1", name="open", disclosed=True))
    account = Account("ours", ("team", "t", "model", "gpt"), *DAY, 10 * DOLLAR)

    assert every.policy_of(account) is policy
    assert every.standing(Balance(account, 3, 4)) == BudgetStanding(
        budget="ours",
        by=("team", "model"),
        period="day",
        ends=DAY[1],
        limit=10 * DOLLAR,
        spent=3,
        held=4,
    )
    assert every.standing(Exhausted(account, 3, 4)).exceeded
    assert every.standing(Balance(Account("open", ("team", "t"), 0, None, 1), 0, 0)).disclosed
