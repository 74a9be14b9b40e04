"""Accounts as books tell of them, and limits that are set through them."""

import pytest

from tests.books.ledgers import KEY, TEAM, Kept, call, made
from veneer.ledger.entry import Account, Balance, Exhausted, Hold, Limit

LARGE = 10**24
ODD = ("team", "é \u202e\ud800\"'")
CLEAN = ("team", "é \u202e?\"'")


@pytest.fixture(params=["in_sqlite", "in_postgresql", "in_memory"])
def ledger(request: pytest.FixtureRequest) -> Kept:
    found: Kept = request.getfixturevalue(request.param)
    return found


async def test_accounts_are_told_whose_period_a_time_lies_in(ledger: Kept) -> None:
    await made(ledger.ledger, [call("a", total=3), call("b", total=None, amount=20)])
    team, key = Balance(TEAM, 3, 20), Balance(KEY, 3, 20)
    assert await ledger.books.budgets(3600) == [key, team]
    assert await ledger.books.budgets(7199.9) == [key, team]
    assert await ledger.books.budgets(3599.9) == [team]
    assert await ledger.books.budgets(7200) == [team]
    assert await ledger.books.budgets(3600, limit=1) == [key]


async def test_a_limit_that_is_set_counts_from_then_on_until_it_is_cleared(ledger: Kept) -> None:
    free = Account("team", ("team", "a"), 0, None, 100)

    async def holds(name: str) -> bool:
        hold = Hold(call=name, amount=10, accounts=(free,), at=1.0)
        return not isinstance(await ledger.ledger.hold(hold), Exhausted)

    assert await holds("first")
    await ledger.books.set_limit(Limit("team", ("team", "a"), 15))
    assert not await holds("second")
    assert [each.account.limit for each in await ledger.books.budgets(1)] == [15]
    await ledger.books.set_limit(Limit("team", ("team", "a"), None))
    assert await holds("third")
    await ledger.books.set_limit(Limit("team", ("team", "a"), 15))
    assert not await holds("fourth")
    assert await ledger.books.clear_limit("team", ("team", "a"))
    assert not await ledger.books.clear_limit("team", ("team", "a"))
    assert await holds("fifth")


async def test_limits_are_told_by_budget_and_partition(ledger: Kept) -> None:
    await ledger.ledger.find("nothing")
    limits = [
        Limit("a", (), LARGE),
        Limit("a", ("team", "b"), None),
        Limit("b", ("key", "k"), 0),
    ]
    for limit in reversed(limits):
        await ledger.books.set_limit(limit)
    assert await ledger.books.limits() == limits


@pytest.mark.parametrize(
    "limit",
    [
        Limit("", (), 1),
        Limit("n" * 65, (), 1),
        Limit("é", (), 1),
        Limit("a\n", (), 1),
        Limit("a", ("t",), -1),
        Limit("a", ("t",), LARGE + 1),
        Limit("a", ("t\0",), 1),
        Limit("a", ("t" * 513,), 1),
        Limit("a", ("t",) * 17, 1),
    ],
)
async def test_what_can_be_no_limit_is_refused(in_memory: Kept, limit: Limit) -> None:
    with pytest.raises(ValueError, match=r"^A "):
        await in_memory.books.set_limit(limit)
    assert await in_memory.books.limits() == []


@pytest.mark.parametrize("ledger", ["in_sqlite", "in_postgresql"], indirect=True)
async def test_names_are_written_as_ledgers_write_them(ledger: Kept) -> None:
    account = Account("team", ODD, 0, None, None)
    await made(ledger.ledger, [call("a", accounts=(account,))])
    await ledger.books.set_limit(Limit("team", ODD, LARGE))
    [balance] = await ledger.books.budgets(1)
    assert balance == Balance(Account("team", CLEAN, 0, None, LARGE), 4, 0)
    assert await ledger.books.clear_limit("team", ODD)
