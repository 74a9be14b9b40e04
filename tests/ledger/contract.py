"""What every ledger keeps to: one suite, whose classes a test file subclasses or imports.

A test file has a fixture `setting` that opens ledgers of its kind.
"""

import asyncio
import math
from collections.abc import Callable
from itertools import count

import msgspec
import pytest

from veneer.facts import Usage
from veneer.ledger.entry import Account, Balance, Entry, Exhausted, Hold, Moved, Settlement
from veneer.ledger.ledger import Ledger
from veneer.prices.money import MOST

TEAM = Account("team", ("team", "a"), 0, None, 100)
KEY = Account("key", ("key", "k"), 3600, 7200, 60)
COUNTED = Account("all", (), 0, None, None)

USAGE = Usage(input_tokens=3, output_tokens=4, total_tokens=7, seconds=0.5)


class Setting(msgspec.Struct):
    """A ledger that is open; `sibling` is of another process, or the same where there is none."""

    ledger: Ledger
    sibling: Ledger


def named(number: int) -> str:
    """Return the id of a call."""
    return f"call-{number}"


_numbers = count()


def hold(amount: int, *accounts: Account, call: str | None = None) -> Hold:
    """Return a hold of a new call."""
    return Hold(call=call or named(next(_numbers)), amount=amount, accounts=accounts, at=1.0)


def end(held: Hold, total: int, **more: object) -> Settlement:
    """Return the settlement of a call that came to its end."""
    given = {"state": "completed", "at": 2.0, "parts": {"output": total}, **more}
    return msgspec.convert({"call": held.call, "total": total, **given}, Settlement)


async def admits(ledger: Ledger, held: Hold) -> bool:
    """Hold; whether that was admitted."""
    return not isinstance(await ledger.hold(held), Exhausted)


async def standing(ledger: Ledger, *accounts: Account) -> list[tuple[int, int]]:
    """Return what is spent and held on accounts."""
    return [(each.spent, each.held) for each in await ledger.balances(accounts)]


async def comes_to(ledger: Ledger, account: Account, expected: tuple[int, int]) -> None:
    """Wait until this is spent and held on an account."""
    async with asyncio.timeout(10):
        while await standing(ledger, account) != [expected]:  # noqa: ASYNC110 - a file tells nobody
            await asyncio.sleep(0.002)


async def settled(ledger: Ledger, settlement: Settlement) -> Entry:
    """Settle, and return the row as soon as that is in."""
    await ledger.settle(settlement)
    async with asyncio.timeout(10):
        while True:
            found = await ledger.find(settlement.call)
            if found is not None and found.settlement is not None:
                return found
            await asyncio.sleep(0.002)


async def test_what_is_held_and_spent_is_counted_on_every_account(setting: Setting) -> None:
    held = hold(40, TEAM, KEY, COUNTED)
    assert await admits(setting.ledger, held)
    for ledger in (setting.ledger, setting.sibling):
        assert await standing(ledger, TEAM, KEY, COUNTED) == [(0, 40)] * 3

    await settled(setting.ledger, end(held, 15))
    for ledger in (setting.ledger, setting.sibling):
        assert await standing(ledger, KEY, TEAM, COUNTED) == [(15, 0)] * 3


async def test_a_hold_tells_how_its_accounts_stand_with_it(setting: Setting) -> None:
    first = hold(30, TEAM, COUNTED)
    await setting.ledger.hold(first)
    await settled(setting.ledger, end(first, 5))
    assert await setting.sibling.hold(hold(10, KEY, TEAM)) == (
        Balance(KEY, 0, 10),
        Balance(TEAM, 5, 10),
    )
    assert await setting.ledger.hold(hold(1)) == ()


async def test_what_accounts_with_limits_are_moved_by_is_told_once_to_who_settles(
    setting: Setting,
) -> None:
    told: list[Moved] = []
    setting.ledger.watch(told.extend)
    costs = [3, 0, 4]
    for cost in costs:
        held = hold(10, TEAM, COUNTED)
        await setting.ledger.hold(held)
        await settled(setting.ledger, end(held, cost))
        await setting.ledger.settle(end(held, cost))
    late = hold(10, TEAM)
    await settled(setting.ledger, end(late, 5, hold=late))
    await setting.ledger.balances([TEAM])
    assert told == [Moved(TEAM, 0, 3), Moved(TEAM, 3, 7), Moved(TEAM, 7, 12)]


async def test_a_hold_that_does_not_fit_is_refused_with_the_account_and_writes_nothing(
    setting: Setting,
) -> None:
    await setting.ledger.hold(hold(50, TEAM, KEY))
    refused = hold(11, TEAM, KEY)
    assert await setting.sibling.hold(refused) == Exhausted(KEY, 0, 50)
    assert await setting.sibling.hold(hold(51, KEY, TEAM)) == Exhausted(KEY, 0, 50)
    assert await setting.sibling.hold(hold(51, TEAM)) == Exhausted(TEAM, 0, 50)
    assert await setting.sibling.find(refused.call) is None
    assert await standing(setting.ledger, TEAM, KEY) == [(0, 50)] * 2
    assert await admits(setting.sibling, hold(10, TEAM, KEY))


async def test_of_holds_at_the_same_time_as_many_are_admitted_as_fit(setting: Setting) -> None:
    ledgers = [setting.ledger, setting.sibling]
    answers = await asyncio.gather(*(ledgers[n % 2].hold(hold(7, TEAM)) for n in range(60)))
    assert sum(not isinstance(answer, Exhausted) for answer in answers) == 14
    assert await standing(setting.ledger, TEAM) == [(0, 98)]


async def test_a_limit_that_is_changed_holds_for_the_next(setting: Setting) -> None:
    await setting.ledger.hold(hold(90, TEAM))
    lower = msgspec.structs.replace(TEAM, limit=50)
    higher = msgspec.structs.replace(TEAM, limit=200)
    assert await setting.ledger.hold(hold(1, lower)) == Exhausted(lower, 0, 90)
    assert await admits(setting.ledger, hold(110, higher))
    assert await standing(setting.ledger, TEAM) == [(0, 200)]


async def test_periods_and_partitions_are_accounts_of_their_own(setting: Setting) -> None:
    later = msgspec.structs.replace(KEY, starts=7200, ends=10800)
    other = msgspec.structs.replace(KEY, partition=("key", "l"))
    for account in (KEY, later, other):
        assert await admits(setting.ledger, hold(60, account))
    assert await standing(setting.ledger, KEY, later, other) == [(0, 60)] * 3


async def test_an_account_that_is_named_twice_is_counted_once(setting: Setting) -> None:
    held = hold(10, TEAM, TEAM)
    assert await admits(setting.ledger, held)
    assert await standing(setting.ledger, TEAM) == [(0, 10)]
    await settled(setting.ledger, end(held, 5))
    assert await standing(setting.ledger, TEAM) == [(5, 0)]


async def test_an_excess_over_the_hold_is_charged_and_refuses_the_next(setting: Setting) -> None:
    held = hold(100, TEAM)
    await setting.ledger.hold(held)
    await settled(setting.ledger, end(held, 130))
    assert await standing(setting.ledger, TEAM) == [(130, 0)]
    assert await setting.ledger.hold(hold(0, TEAM)) == Exhausted(TEAM, 130, 0)


async def test_to_settle_twice_changes_nothing(setting: Setting) -> None:
    held = hold(10, TEAM)
    await setting.ledger.hold(held)
    first = await settled(setting.ledger, end(held, 5))
    await setting.sibling.settle(end(held, 7))
    await setting.ledger.settle(end(held, 9, state="failed"))
    # What is asked now comes after that.
    await setting.sibling.balances([TEAM])
    assert await standing(setting.ledger, TEAM) == [(5, 0)]
    assert await setting.ledger.find(held.call) == first


async def test_the_settlement_of_an_unknown_call_is_nothing(setting: Setting) -> None:
    unknown = hold(10, TEAM)
    await setting.ledger.settle(end(unknown, 5))
    assert await standing(setting.ledger, TEAM) == [(0, 0)]
    assert await setting.ledger.find(unknown.call) is None


async def test_a_call_without_a_row_gets_one_of_the_hold_in_its_settlement(
    setting: Setting,
) -> None:
    held = hold(1000, TEAM, KEY)
    settlement = end(held, 5, hold=held)
    await setting.ledger.settle(settlement)
    await setting.ledger.settle(settlement)
    found = await settled(setting.sibling, settlement)
    assert found.hold.amount == 1000
    assert await standing(setting.ledger, TEAM, KEY) == [(5, 0)] * 2


async def test_a_call_with_a_row_keeps_it_whatever_hold_its_settlement_has(
    setting: Setting,
) -> None:
    held = hold(10, TEAM)
    await setting.ledger.hold(held)
    found = await settled(setting.ledger, end(held, 5, hold=hold(99, KEY, call=held.call)))
    assert found.hold.amount == 10
    assert await standing(setting.ledger, TEAM, KEY) == [(5, 0), (0, 0)]


async def test_a_second_hold_of_a_call_is_an_error_and_no_harm_to_others(setting: Setting) -> None:
    held = hold(10, TEAM)
    await setting.ledger.hold(held)
    outcomes = await asyncio.gather(
        setting.ledger.hold(hold(1, TEAM)),
        setting.ledger.hold(held),
        setting.ledger.hold(hold(2, TEAM)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[0], tuple)
    assert isinstance(outcomes[1], ValueError)
    assert isinstance(outcomes[2], tuple)
    assert await standing(setting.ledger, TEAM) == [(0, 13)]


async def test_a_row_says_all_of_the_call(setting: Setting) -> None:
    held = Hold(
        call="call-of-all",
        amount=10,
        accounts=(msgspec.structs.replace(TEAM, limit=None),),
        at=1.5,
        request_id="req_1",
        key="key",
        team="a",
        user="José 😀",
        tags=("x", "y"),
        operation="chat.completions",
        model="m",
        stream=True,
    )
    await setting.ledger.hold(held)
    assert await setting.sibling.find(held.call) == Entry(held, None)
    settlement = Settlement(
        call=held.call,
        state="disconnected",
        at=2.5,
        usage=msgspec.structs.replace(USAGE, malformed=True),
        parts={"input": 1, "output": 4},
        total=5,
        estimated=True,
        price_version="v1",
        priced_model="m-1",
        answered_model="m-2",
        target="openai",
        status=200,
        latency=0.75,
        first_event=0.25,
    )
    await settled(setting.ledger, settlement)
    assert await setting.sibling.find(held.call) == Entry(held, settlement)


async def test_amounts_are_exact_beyond_what_64_bits_hold(setting: Setting) -> None:
    for _ in range(20):
        held = hold(MOST, COUNTED)
        await setting.ledger.hold(held)
        await setting.ledger.settle(end(held, MOST - 1))
    last = hold(MOST, COUNTED)
    await setting.ledger.hold(last)
    assert await setting.sibling.balances([COUNTED]) == [Balance(COUNTED, 20 * (MOST - 1), MOST)]


@pytest.mark.parametrize("amount", [-1, MOST + 1])
async def test_amounts_that_cannot_be_are_refused_and_no_harm(
    setting: Setting, amount: int
) -> None:
    held = hold(1, TEAM)
    await setting.ledger.hold(held)
    with pytest.raises(ValueError, match="picodollars"):
        await setting.ledger.hold(hold(amount, TEAM))
    with pytest.raises(ValueError, match="picodollars"):
        await setting.ledger.settle(end(held, amount))
    assert await standing(setting.ledger, TEAM) == [(0, 1)]


@pytest.mark.parametrize("state", ["held", "abandoned"])
async def test_no_call_ends_in_a_state_that_is_the_ledgers_own(
    setting: Setting, state: str
) -> None:
    held = hold(1, TEAM)
    await setting.ledger.hold(held)
    with pytest.raises(ValueError, match="No call ends as"):
        await setting.ledger.settle(end(held, 0, state=state))


@pytest.mark.parametrize("call", ["", "é", "a\nb", "x" * 513])
async def test_ids_that_cannot_be_are_refused(setting: Setting, call: str) -> None:
    with pytest.raises(ValueError, match="A call's id is of"):
        await setting.ledger.hold(msgspec.structs.replace(hold(1, TEAM), call=call))


async def test_texts_and_numbers_that_no_database_takes_are_mended(setting: Setting) -> None:
    bad = "\ud83d\0" + "x" * 5000
    held = msgspec.structs.replace(
        hold(1, Account("b", ("user", "\ud83d"), 0, None, 10)),
        **dict.fromkeys(("request_id", "key", "team", "user", "operation", "model"), bad),
        tags=(bad, "y") * 1000,
        at=math.nan,
    )
    assert await admits(setting.ledger, held)
    usage = Usage(input_tokens=-1, output_tokens=2**70, seconds=math.inf)
    settlement = msgspec.structs.replace(
        Settlement(call=held.call, state="completed", at=math.inf),
        **dict.fromkeys(("price_version", "priced_model", "answered_model", "target"), bad),
        usage=usage,
        parts={bad: 1},
        total=1,
        latency=math.nan,
        first_event=-math.inf,
        status=10**30,
    )
    found = await settled(setting.ledger, settlement)
    assert found.hold.model == "?" + "x" * 510
    assert len(found.hold.tags) == 64
    assert found.settlement is not None
    assert found.settlement.target == "?" + "x" * 510
    assert found.settlement.usage == Usage(input_tokens=0, output_tokens=2**63 - 1)
    assert found.settlement.latency is None
    assert found.settlement.status is None


async def test_leaving_the_lifespan_waits_until_all_is_in_and_gives_up_what_is_held(
    another: Callable[[], Ledger],
) -> None:
    ledger = another()
    held = [hold(1, COUNTED) for _ in range(50)]
    async with ledger.lifespan():
        await asyncio.gather(*map(ledger.hold, held))
        for each in held[:40]:
            await ledger.settle(end(each, 2))
    async with ledger.lifespan():
        assert await standing(ledger, COUNTED) == [(80, 0)]
        last = await ledger.find(held[49].call)
        assert last is not None
        assert last.settlement is not None
        assert (last.settlement.state, last.settlement.total) == ("abandoned", 0)


async def test_what_was_abandoned_gives_way_to_what_its_process_knows(
    another: Callable[[], Ledger],
) -> None:
    ledger = another()
    held = hold(10, TEAM)
    async with ledger.lifespan():
        await ledger.hold(held)
    async with ledger.lifespan():
        await ledger.settle(end(held, 7))
        await ledger.settle(end(held, 8))
    async with ledger.lifespan():
        assert await standing(ledger, TEAM) == [(7, 0)]


async def test_a_hold_whose_caller_is_cancelled_holds_nothing(setting: Setting) -> None:
    """Cancelled after any number of turns of the loop, before or after it is written."""
    for turns in range(12):
        held = hold(1, TEAM)
        task = asyncio.ensure_future(setting.ledger.hold(held))
        for _ in range(turns):
            await asyncio.sleep(0.0002)
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        if isinstance(outcome, tuple):
            await setting.ledger.settle(end(held, 0))
    await comes_to(setting.ledger, TEAM, (0, 0))


async def test_a_settlement_whose_caller_is_cancelled_is_in_all_the_same(setting: Setting) -> None:
    held = hold(1, TEAM)
    await setting.ledger.hold(held)

    async def settle() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        await setting.ledger.settle(end(held, 5))
        await asyncio.sleep(10)

    await asyncio.gather(asyncio.ensure_future(settle()), return_exceptions=True)
    await comes_to(setting.ledger, TEAM, (5, 0))


async def test_a_hold_whose_caller_is_cancelled_as_it_is_told_holds_nothing(
    setting: Setting,
) -> None:
    held = hold(1, TEAM)
    told = asyncio.get_running_loop().create_future()

    async def wait() -> None:
        await setting.ledger.hold(held)
        told.set_result(None)

    task = asyncio.ensure_future(wait())
    # Turn by turn, until the answer is there and the one who waits for it has not run yet.
    async with asyncio.timeout(10):
        while not told.done():
            await asyncio.sleep(0)
            waiter = getattr(task, "_fut_waiter", None)
            if waiter is not None and waiter.done():
                task.cancel()
                break
    await asyncio.gather(task, return_exceptions=True)
    if told.done():
        await setting.ledger.settle(end(held, 0))
    await comes_to(setting.ledger, TEAM, (0, 0))


@pytest.mark.parametrize("call", ["", "\ud83d", "é", "x" * 600])
async def test_what_no_call_is_called_is_not_found_and_no_harm(setting: Setting, call: str) -> None:
    held = hold(1, TEAM)
    found, _ = await asyncio.gather(setting.ledger.find(call), setting.ledger.hold(held))
    assert found is None


@pytest.mark.parametrize("call", ["", "\0", "\ud83d", "é", "x" * 600])
async def test_what_no_call_is_called_is_not_settled_and_no_harm(
    setting: Setting, call: str
) -> None:
    held = hold(1, TEAM)
    await setting.ledger.settle(Settlement(call=call, state="completed", at=2.0))
    await setting.ledger.hold(held)
    await setting.ledger.settle(end(held, 3))
    await comes_to(setting.ledger, TEAM, (3, 0))


async def test_a_settlement_with_the_hold_of_another_call_is_refused(setting: Setting) -> None:
    held = hold(1, TEAM)
    mixed = msgspec.structs.replace(end(hold(1, TEAM), 3), hold=held)
    with pytest.raises(ValueError, match="of one call"):
        await setting.ledger.settle(mixed)
    await setting.ledger.hold(held)
    await setting.ledger.settle(end(held, 3))
    await comes_to(setting.ledger, TEAM, (3, 0))
