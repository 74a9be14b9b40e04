"""The overview of budgets: whose limit counts, and what waits for its first call."""

from veneer.books.memory import MemoryBooks
from veneer.books.overview import Line, Overview, overview
from veneer.budgets.policy import BudgetPolicy
from veneer.ledger.entry import Account, Hold, Limit, Settlement
from veneer.ledger.memory import MemoryLedger

NOW = 1_700_000_000.0
# The 14th of November 2023.
STARTS, ENDS = 1_699_920_000, 1_700_006_400

DAY = BudgetPolicy("10", period="day", name="ours")
TOTAL = BudgetPolicy(None, period="total", name="all")
POLICIES = (DAY, TOTAL)
RED = ("team", "red")


def account(budget: str = "ours", starts: int = STARTS, ends: int | None = ENDS) -> Account:
    return Account(budget, RED, starts, ends, None)


async def looked(
    accounts: list[Account],
    limits: list[Limit],
    policies: tuple[BudgetPolicy, ...] = POLICIES,
    most: int = 9,
) -> Overview:
    """Look at a ledger in which 3 are spent and 4 held on each account."""
    ledger = MemoryLedger(clock=lambda: NOW)
    for limit in limits:
        ledger.set_limit(limit)
    for call, amount in (("a", 3), ("b", 4)):
        await ledger.hold(Hold(call=call, amount=amount, accounts=tuple(accounts), at=NOW))
    await ledger.settle(Settlement(call="a", state="completed", at=NOW, total=3))
    return await overview(MemoryBooks(ledger), policies, NOW, limit=most)


async def only(
    accounts: list[Account],
    limits: list[Limit],
    policies: tuple[BudgetPolicy, ...] = POLICIES,
) -> Line:
    found = await looked(accounts, limits, policies)
    [line] = found.lines
    assert not found.more
    return line


async def test_a_configured_limit_counts_where_none_is_set() -> None:
    found = await only([account()], [])
    assert found == Line(
        budget="ours",
        partition=RED,
        period="day",
        starts=STARTS,
        ends=ENDS,
        limit=10 * 10**12,
        origin="configured",
        spent=3,
        held=4,
    )
    assert found.remaining == 10 * 10**12 - 7
    unlimited = await only([account("all", 0, None)], [])
    assert (unlimited.limit, unlimited.origin, unlimited.remaining) == (None, "configured", None)


async def test_a_limit_that_is_set_goes_before_it_for_its_partition_alone() -> None:
    others = Limit("ours", ("team", "blue"), 9)
    found = (await looked([account()], [Limit("ours", RED, 8), others])).lines
    assert [(each.partition[1], each.limit, each.origin, each.spent) for each in found] == [
        ("blue", 9, "set", 0),
        ("red", 8, "set", 3),
    ]
    assert (found[0].starts, found[0].ends) == (STARTS, ENDS)
    assert found[1].remaining == 1
    freed = await only([account()], [Limit("ours", RED, None)])
    assert (freed.limit, freed.origin) == (None, "set")


async def test_without_a_policy_only_what_is_set_is_known() -> None:
    found = await only([account()], [], ())
    assert (found.limit, found.origin, found.period, found.ends) == (None, None, None, ENDS)
    waiting = await only([], [Limit("gone", RED, 5)], ())
    assert (waiting.limit, waiting.starts, waiting.ends, waiting.spent) == (5, None, None, 0)


async def test_what_was_counted_in_another_period_counts_no_more() -> None:
    month = account(starts=1_698_796_800, ends=1_701_388_800)
    assert (await looked([month], [])).lines == []
    found = await only([month], [Limit("ours", RED, 50)])
    assert (found.starts, found.spent, found.limit) == (STARTS, 0, 50)


async def test_lines_are_in_the_order_of_their_names() -> None:
    limits = [Limit(name, ("key", key), 1) for name in ("ours", "all") for key in ("b", "a")]
    found = await looked([account()], limits)
    assert [(each.budget, *each.partition) for each in found.lines] == [
        ("all", "key", "a"),
        ("all", "key", "b"),
        ("ours", "key", "a"),
        ("ours", "key", "b"),
        ("ours", "team", "red"),
    ]


async def test_of_many_the_first_are_told_and_that_there_are_more() -> None:
    accounts = [account(name) for name in ("b", "a", "c")]
    found = await looked(accounts, [Limit("c", RED, 50)], most=2)
    assert [line.budget for line in found.lines] == ["a", "b"]
    assert found.more
    assert not (await looked(accounts, [], most=3)).more
