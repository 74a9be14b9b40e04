"""The arithmetic of holds: what is admitted fits, and the sums are those of the rows."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from veneer.ledger.entry import Account, Balance, Exhausted, Moved, State
from veneer.ledger.judging import Judge, Limits, Row, Totals

NAMES = ("a", "b", "c")
AMOUNTS = st.integers(0, 40) | st.integers(0, 10**18)


def account(name: str, limit: int | None) -> Account:
    return Account(name, (name,), 0, None, limit)


class Held(msgspec.Struct, frozen=True):
    """A hold: its amount, and its accounts with the limits that they have just then."""

    amount: int
    limits: dict[str, int | None]


class Closed(msgspec.Struct, frozen=True):
    """A settlement of some row, of which there may be none or that may be closed."""

    index: int
    state: State
    total: int


HOLDS = st.builds(
    Held, AMOUNTS, st.dictionaries(st.sampled_from(NAMES), st.none() | st.integers(0, 200))
)
ENDS = st.builds(
    Closed, st.integers(0, 8), st.sampled_from(["completed", "released", "abandoned"]), AMOUNTS
)


@given(st.lists(HOLDS | ENDS, max_size=40))
def test_what_is_admitted_fits_and_sums_are_those_of_the_rows(steps: list[Held | Closed]) -> None:
    judge = Judge({name: Totals() for name in NAMES})
    rows: list[Row[str]] = []
    for step in steps:
        before = msgspec.json.encode(judge.totals)
        if isinstance(step, Held):
            row = Row("held", step.amount, 0, tuple(step.limits))
            accounts = [account(name, limit) for name, limit in step.limits.items()]
            refused = judge.admit(row, accounts, tuple(step.limits))
            fits = all(
                limit is None or spent(rows, name) + held(rows, name) + step.amount <= limit
                for name, limit in step.limits.items()
            )
            assert (not isinstance(refused, Exhausted)) == fits
            if fits:
                rows.append(row)
            else:
                assert msgspec.json.encode(judge.totals) == before
        elif step.index < len(rows):
            row = rows[step.index]
            final = row.state not in ("held", "abandoned")
            if not judge.close(row, step.state, step.total):
                assert final or (row.state == step.state == "abandoned")
                assert msgspec.json.encode(judge.totals) == before
        assert judge.totals == {name: Totals(spent(rows, name), held(rows, name)) for name in NAMES}
    assert {name for name in NAMES if judge.totals[name] != Totals()} <= judge.changed


def spent(rows: list[Row[str]], name: str) -> int:
    return sum(row.total for row in rows if row.state != "held" and name in row.accounts)


def held(rows: list[Row[str]], name: str) -> int:
    return sum(row.amount for row in rows if row.state == "held" and name in row.accounts)


def test_the_first_account_without_room_is_told_and_none_is_touched() -> None:
    judge = Judge({"a": Totals(1, 2), "b": Totals(5, 5), "c": Totals(9, 9)})
    accounts = [account("a", 100), account("b", 10), account("c", 10)]
    row = Row("held", 1, 0, NAMES)
    assert judge.admit(row, accounts, NAMES) == Exhausted(accounts[1], 5, 5)
    assert judge.changed == set()
    assert judge.totals["a"] == Totals(1, 2)


def test_what_is_full_to_the_last_picodollar_is_not_over() -> None:
    judge = Judge({"a": Totals(60, 30)})
    full = account("a", 100)
    assert judge.admit(Row("held", 10, 0, ("a",)), [full], ("a",)) == (Balance(full, 60, 40),)
    assert judge.admit(Row("held", 1, 0, ("a",)), [full], ("a",)) == Exhausted(full, 60, 40)


def test_an_operators_limit_goes_before_that_of_a_hold_and_may_lift_it() -> None:
    limits: Limits = {("a", ("a",)): 20, ("b", ("b",)): None}
    judge = Judge({"a": Totals(), "b": Totals(10, 0)}, limits)
    accounts = [account("a", 5), account("b", 10)]
    higher, lifted = account("a", 20), account("b", None)
    assert judge.admit(Row("held", 20, 0, ("a", "b")), accounts, ("a", "b")) == (
        Balance(higher, 0, 20),
        Balance(lifted, 10, 20),
    )
    assert judge.admit(Row("held", 1, 0, ("a",)), accounts[:1], ("a",)) == Exhausted(higher, 0, 20)


def test_what_is_told_has_the_limit_that_counts_when_it_is_settled() -> None:
    judge = Judge({"a": Totals()}, watching=True)
    row = Row("held", 9, 0, ("a",))
    judge.admit(row, [account("a", 10)], ("a",))
    judge.limits = {("a", ("a",)): 50}
    assert judge.close(row, "completed", 7)
    assert judge.moved == [Moved(account("a", 50), 0, 7)]


def test_a_late_word_replaces_the_guess_of_an_abandoned_row_once() -> None:
    judge = Judge({"a": Totals(0, 10)})
    row = Row("held", 10, 0, ("a",))
    assert judge.close(row, "abandoned", 10)
    assert judge.totals["a"] == Totals(10, 0)
    assert not judge.close(row, "abandoned", 0)
    assert judge.close(row, "completed", 4)
    assert not judge.close(row, "completed", 5)
    assert judge.totals["a"] == Totals(4, 0)
