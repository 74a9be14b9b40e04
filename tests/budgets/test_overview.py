"""The overview of budgets: whose limit counts, and what waits for its first call."""

from veneer.budgets.overview import Line, overview
from veneer.budgets.policy import BudgetPolicy
from veneer.ledger.entry import Account, Balance, Limit

NOW = 1_700_000_000.0
# The 14th of November 2023.
STARTS, ENDS = 1_699_920_000, 1_700_006_400

DAY = BudgetPolicy("10", period="day", name="ours")
TOTAL = BudgetPolicy(None, period="total", name="all")
POLICIES = {"ours": DAY, "all": TOTAL}
RED = ("team", "red")


def balance(budget: str = "ours", starts: int = STARTS, ends: int | None = ENDS) -> Balance:
    return Balance(Account(budget, RED, starts, ends, None), 3, 4)


def line(lines: list[Line]) -> Line:
    [only] = lines
    return only


def test_a_configured_limit_counts_where_none_is_set() -> None:
    found = line(overview([balance()], [], POLICIES, NOW))
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
    unlimited = line(overview([balance("all", 0, None)], [], POLICIES, NOW))
    assert (unlimited.limit, unlimited.origin, unlimited.remaining) == (None, "configured", None)


def test_a_limit_that_is_set_goes_before_it_for_its_partition_alone() -> None:
    others = Limit("ours", ("team", "blue"), 9)
    found = overview([balance()], [Limit("ours", RED, 5), others], POLICIES, NOW)
    assert [(each.partition[1], each.limit, each.origin, each.spent) for each in found] == [
        ("blue", 9, "set", 0),
        ("red", 5, "set", 3),
    ]
    assert (found[0].starts, found[0].ends) == (STARTS, ENDS)
    assert found[1].remaining == -2
    freed = line(overview([balance()], [Limit("ours", RED, None)], POLICIES, NOW))
    assert (freed.limit, freed.origin) == (None, "set")


def test_without_a_policy_only_what_is_set_is_known() -> None:
    found = line(overview([balance()], [], {}, NOW))
    assert (found.limit, found.origin, found.period, found.ends) == (None, None, None, ENDS)
    waiting = line(overview([], [Limit("gone", RED, 5)], {}, NOW))
    assert (waiting.limit, waiting.starts, waiting.ends, waiting.spent) == (5, None, None, 0)


def test_what_was_counted_in_another_period_counts_no_more() -> None:
    month = balance(starts=1_698_796_800, ends=1_701_388_800)
    assert overview([month], [], POLICIES, NOW) == []
    found = line(overview([month], [Limit("ours", RED, 5)], POLICIES, NOW))
    assert (found.starts, found.spent, found.limit) == (STARTS, 0, 5)


def test_lines_are_in_the_order_of_their_names() -> None:
    limits = [Limit(name, ("key", key), 1) for name in ("ours", "all") for key in ("b", "a")]
    found = overview([balance()], limits, POLICIES, NOW)
    assert [(each.budget, *each.partition) for each in found] == [
        ("all", "key", "a"),
        ("all", "key", "b"),
        ("ours", "key", "a"),
        ("ours", "key", "b"),
        ("ours", "team", "red"),
    ]
