"""The judge of killed processes: what is sound has no faults, and each fault is found."""

from collections.abc import Callable

import msgspec
import pytest
from msgspec.structs import replace

from tests.ledger.clients import Called
from tests.ledger.evidence import Counters, Evidence, Row
from tests.ledger.faults import Case, Sum, faults_of, sums_of
from tests.ledger.told import Told, cost

PID = 100
LIMIT = 10**9
HELD = 400_000_000
LIMITS = {"sk-0": LIMIT}


def row(name: str, total: int, **members: object) -> Row:
    """Return the row of a call that was completed, or ended as `members` say."""
    sound = Row(
        call=f"call_{name}",
        name=name,
        owner=7,
        state="completed",
        amount=HELD,
        total=total,
        parts={"input": total},
        estimated=False,
        accounts=(1,),
        usage=(30, 10, 5),
    )
    return msgspec.convert({**msgspec.structs.asdict(sound), **members}, Row)


def served(name: str, **members: object) -> Told:
    """Return a call that the model server has finished, or as far as `members` say."""
    sound = Told(name, 200, 30, 10, 5, told=True, finished=True)
    return msgspec.convert({**msgspec.structs.asdict(sound), **members}, Told)


COST = cost(30, 10, 5)
SEEN = cost(90, 0, 3)

PLAIN = row("plain-1", COST)
MUTE = row("mute-1", SEEN, estimated=True, usage=(90, 0, 3))
LEFT = row("stream-1", SEEN, state="disconnected", estimated=True, usage=(90, 0, 3))
UNSENT = row("plain-2", cost(90, 0, 0), state="disconnected", estimated=True, usage=(90, 0, 0))
UNSEEN = row("plain-3", HELD, state="failed", estimated=True, usage=None, parts={"held": HELD})
KILLED = row("stream-2", 0, state="abandoned", usage=None, parts={})
GIVEN_BACK = row("plain-4", 0, state="released", usage=None, parts={})

ROWS = [PLAIN, MUTE, LEFT, UNSENT, UNSEEN, KILLED, GIVEN_BACK]
TOLD = [
    served("plain-1"),
    served("mute-1", told=False, events=7),
    served("stream-1", told=False, finished=False, events=3),
    served("plain-3"),
    served("stream-2", told=False, finished=False, events=2),
]
CALLS = [
    Called("plain-1", 200, whole=True, receipt=COST),
    Called("mute-1", 200, whole=True, receipt=SEEN),
    Called("stream-1", -1, whole=False),
    Called("stream-2", 200, whole=False),
    Called("plain-9", 429, whole=True),
]


def case(
    rows: list[Row] = ROWS,
    told: list[Told] = TOLD,
    calls: list[Called] = CALLS,
    **members: object,
) -> Case:
    """Return a case whose counters are right."""
    spent = sum(each.total for each in rows)
    held = sum(each.amount for each in rows if each.state == "held")
    counters = Counters(1, "sk-0", spent, held, LIMIT)
    evidence = Evidence(rows, [counters], {7: PID})
    sound = Case(evidence=evidence, told=told, calls=calls, killed=[PID], limits=LIMITS)
    return replace(sound, **members)


def instead(changed: Row) -> Case:
    """Return a case with another row in place of the one of that call."""
    return case([changed if each.name == changed.name else each for each in ROWS])


def test_a_sound_ledger_has_no_faults() -> None:
    assert list(faults_of(case())) == []


def test_abandoned_calls_cost_what_was_held_where_that_is_said() -> None:
    charged = replace(KILLED, total=HELD, estimated=True, parts={"held": HELD})
    assert list(faults_of(replace(instead(charged), charge_abandoned=True))) == []


@pytest.mark.parametrize(
    ("found", "fault"),
    [
        (instead(replace(PLAIN, state="held", total=0, parts={})), "plain-1: it is open"),
        (instead(replace(PLAIN, parts={"input": 1})), "plain-1: its parts are not"),
        (instead(replace(PLAIN, amount=1)), "plain-1: it costs more than was held"),
        (instead(replace(PLAIN, usage=(30, 0, 5))), "plain-1: its usage is not"),
        (
            instead(replace(PLAIN, total=COST + 1, parts={"input": COST + 1})),
            f"plain-1: it does not cost {COST}",
        ),
        (instead(replace(PLAIN, usage=None)), "plain-1: it has no usage"),
        (
            instead(replace(MUTE, name="plain-1", call="call_plain-1")),
            "plain-1: it is estimated, and the model server has told",
        ),
        (
            instead(replace(MUTE, total=cost(90, 0, 8), usage=(90, 0, 8))),
            "mute-1: it is estimated beyond",
        ),
        (instead(replace(MUTE, usage=(300, 0, 3))), "mute-1: it is estimated beyond"),
        (instead(replace(MUTE, total=0, parts={})), f"mute-1: it does not cost {SEEN}"),
        (instead(replace(LEFT, state="completed")), "stream-1: the model server did not finish"),
        (
            instead(replace(LEFT, total=0, parts={}, usage=None, estimated=False)),
            "stream-1: it has no usage",
        ),
        (instead(replace(UNSENT, state="completed")), "plain-2: the model server did not get"),
        (instead(replace(UNSENT, estimated=False)), "plain-2: the model server did not get"),
        (
            instead(replace(KILLED, total=HELD, estimated=True, parts={"held": HELD})),
            "stream-2: what is abandoned costs 0",
        ),
        (instead(replace(KILLED, state="released")), "stream-2: the model server got it"),
        (instead(replace(KILLED, owner=8)), "stream-2: it is abandoned, and nobody"),
        (case(ROWS[1:]), "plain-1: the model server has served it"),
        (case([*ROWS, replace(PLAIN, call="another")]), "plain-1: there are 2 rows"),
        (case([*ROWS, PLAIN]), "call_plain-1: there are 2 calls with this id"),
        (case(told=[*TOLD, TOLD[0]]), "plain-1: there are 2 calls at the model server"),
        (case(calls=[Called("plain-1", 200, True, COST + 1)]), "plain-1: its receipt is not"),  # noqa: FBT003 - a field
        (case(calls=[Called("plain-1", 200, True)]), "plain-1: its receipt is not"),  # noqa: FBT003 - a field
        (case(calls=[Called("plain-8", 200, True, 0)]), "plain-8: its client got a whole"),  # noqa: FBT003 - a field
        (case(calls=[Called("plain-8", 502, True)]), "plain-8: status 502"),  # noqa: FBT003 - a field
        (case(calls=[Called("plain-1", 503, True)]), "plain-1: it was refused, and the model"),  # noqa: FBT003 - a field
        (case(calls=[Called("plain-2", 429, True)]), "plain-2: it was refused, and is in"),  # noqa: FBT003 - a field
        (
            case(evidence=replace(case().evidence, damage=["a page"])),
            "the file is damaged: a page",
        ),
    ],
)
def test_each_fault_is_found(found: Case, fault: str) -> None:
    assert any(each.startswith(fault) for each in faults_of(found)), list(faults_of(found))


def test_who_leaves_right_before_the_usage_may_be_charged_by_guess() -> None:
    guessed = instead(replace(MUTE, name="plain-1", call="call_plain-1"))
    told = [replace(TOLD[0], events=7), *TOLD[1:]]
    left = replace(guessed, calls=[Called("plain-1", -1, whole=False)], told=told)
    assert list(faults_of(left)) == []


def changed(change: Callable[[Counters], Counters], owners: dict[int, int]) -> Case:
    """Return a case whose account is another."""
    evidence = case().evidence
    accounts = [change(each) for each in evidence.accounts]
    return case(evidence=replace(evidence, accounts=accounts, owners=owners))


def test_counters_are_the_sums_of_rows() -> None:
    for member in ("spent", "held"):
        found = changed(lambda each: replace(each, **{member: 1}), {7: PID})  # noqa: B023 - called at once
        [fault] = faults_of(found)
        assert "is not what its rows are" in fault
    [_, fault] = faults_of(changed(lambda each: replace(each, id=2), {7: PID}))
    assert fault == "there are rows of accounts that are not there: [1]"


def test_no_account_was_ever_over_its_limit() -> None:
    def over(each: Counters) -> Counters:
        return replace(each, most=LIMIT + 1)

    [fault] = faults_of(changed(over, {7: PID}))
    assert "was over its limit" in fault
    unlimited = replace(changed(over, {7: PID}), limits={"sk-0": None})
    assert list(faults_of(unlimited)) == []
    # A process had two lives: what it held may have been spent by others.
    assert list(faults_of(changed(over, {7: PID, 8: PID}))) == []


def test_sums_tell_estimates_apart() -> None:
    sums = sums_of(ROWS, TOLD)
    assert sums["completed"] == Sum(1, COST, COST)
    assert sums["completed, estimated"] == Sum(1, SEEN, COST)
    assert sums["disconnected, estimated"] == Sum(2, SEEN + cost(90, 0, 0), cost(30, 10, 3))
    assert sums["abandoned"] == Sum(1, 0, cost(30, 10, 2))
