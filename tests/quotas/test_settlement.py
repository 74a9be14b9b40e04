"""What a call used: told by the upstream, or what was seen, or what was taken."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer import facts
from veneer.call import Call
from veneer.facts import Relayed, Route, Unreached, Usage
from veneer.operations import FIXED
from veneer.quotas.estimate import Estimate
from veneer.quotas.settlement import MAX_TOKENS, streamed, untold, used

ESTIMATE = Estimate(100, 50)
CHAT = FIXED["chat/completions"]
PLAIN = Relayed(stream=False, observed=True, complete=True)
UNSEEN = Relayed(stream=False, observed=False, complete=True)
ERROR = Relayed(stream=False, observed=False, complete=True)
STREAM = Relayed(stream=True, observed=True, complete=True, events=7)
BROKEN = Relayed(stream=True, observed=True, complete=False, events=7)
UNSEEN_STREAM = Relayed(stream=True, observed=False, complete=True, events=7)
TOLD = Usage(input_tokens=10, output_tokens=5, total_tokens=15)


def use(*known: object, status: int | None = 200) -> int:
    scope: dict[str, Any] = {}
    facts.open_in(scope)
    for fact in known:
        facts.put(scope, fact)
    return used(scope, ESTIMATE, status)


def route(status: int) -> Route:
    return Route(target="upstream", status=status)


@pytest.mark.parametrize(
    ("usage", "total"),
    [
        (TOLD, 15),
        (Usage(input_tokens=10, output_tokens=5), 15),
        (Usage(input_tokens=10, output_tokens=5, total_tokens=12), 15),
        (Usage(input_tokens=10, output_tokens=5, total_tokens=40), 40),
        (Usage(total_tokens=40), 40),
        (Usage(input_tokens=1000, output_tokens=5000, total_tokens=6000), 6000),
        (Usage(input_tokens=MAX_TOKENS), MAX_TOKENS),
    ],
)
@pytest.mark.parametrize("relayed", [PLAIN, STREAM, BROKEN, UNSEEN])
@pytest.mark.parametrize("status", [200, None, 500])
def test_what_the_upstream_says_is_used(
    usage: Usage, total: int, relayed: Relayed, status: int | None
) -> None:
    assert use(usage, relayed, status=status) == total


@pytest.mark.parametrize(
    "usage",
    [
        Usage(),
        Usage(input_tokens=10, output_tokens=5, total_tokens=15, malformed=True),
        Usage(input_tokens=-1, output_tokens=5),
        Usage(output_tokens=-5, input_tokens=50),
        Usage(total_tokens=-5, input_tokens=50),
        Usage(input_tokens=MAX_TOKENS + 1),
        Usage(total_tokens=2**53),
    ],
)
def test_a_usage_that_makes_no_sense_is_none(usage: Usage) -> None:
    assert use(usage, PLAIN) == 150
    assert use(usage, STREAM) == 107


@pytest.mark.parametrize(
    ("known", "status", "total"),
    [
        # Refused on its way, by a layer or by us.
        ((), 429, 0),
        ((), 500, 0),
        ((), None, 0),
        # Never sent; also where an early heartbeat has begun the answer with 200.
        ((Unreached(), ERROR), 502, 0),
        ((Unreached(), ERROR), 503, 0),
        ((Unreached(), UNSEEN), 200, 0),
        ((Unreached(), UNSEEN), None, 0),
        ((Unreached(),), 502, 0),
        # One target was not reached, and the next one was.
        ((Unreached(), route(200), STREAM), 200, 107),
        ((Unreached(), route(200), UNSEEN), 200, 150),
        # Failed upstream, or timed out there, or left before there was an answer.
        ((route(400), ERROR), 400, 100),
        ((route(500), ERROR), 500, 100),
        ((route(500), ERROR), 200, 100),
        ((route(500),), 500, 100),
        ((ERROR,), 504, 100),
        ((UNSEEN,), None, 100),
        ((route(200),), None, 100),
        # Streams count by their events.
        ((STREAM,), 200, 107),
        ((BROKEN,), 200, 107),
        ((route(200), STREAM), 200, 107),
        # Nothing could be seen of what was written.
        ((UNSEEN_STREAM,), 200, 150),
        ((UNSEEN,), 200, 150),
        ((PLAIN,), 200, 150),
        ((), 200, 150),
    ],
)
def test_without_usage_it_is_what_was_taken_or_seen(
    known: tuple[object, ...], status: int | None, total: int
) -> None:
    assert use(*known, status=status) == total


@pytest.mark.parametrize(
    ("cap", "choices", "written"), [(None, 1, 7), (5, 1, 5), (3, 2, 6), (5, 2, 7), (100, 1, 7)]
)
def test_a_stream_wrote_no_more_than_it_was_allowed(
    cap: int | None, choices: int, written: int
) -> None:
    call = Call(CHAT, stream=True, output_cap=cap, choices=choices)
    assert use(call, STREAM) == 100 + written


def test_a_stream_without_a_cap_may_have_used_more_than_was_taken() -> None:
    events = Relayed(stream=True, observed=True, complete=True, events=5000)
    assert use(Call(CHAT, stream=True), events) == 5100


NUMBERS = st.integers(-(10**12), 10**12)
USAGES = st.none() | st.builds(
    Usage,
    input_tokens=NUMBERS,
    output_tokens=NUMBERS,
    total_tokens=NUMBERS,
    malformed=st.booleans(),
)
RELAYED = st.none() | st.builds(
    Relayed,
    stream=st.booleans(),
    observed=st.booleans(),
    complete=st.booleans(),
    events=st.integers(0, 10**6),
)


@given(
    usage=USAGES,
    relayed=RELAYED,
    unreached=st.none() | st.just(Unreached()),
    status=st.none() | st.integers(200, 599),
)
def test_whatever_is_known_a_call_used_a_bounded_number(
    usage: Usage | None, relayed: Relayed | None, unreached: Unreached | None, status: int | None
) -> None:
    known = [fact for fact in (usage, relayed, unreached) if fact is not None]
    assert 0 <= use(*known, status=status) <= 2 * MAX_TOKENS


@pytest.mark.parametrize(
    ("known", "status", "expected"),
    [
        ((), 429, Estimate()),
        ((Unreached(),), 502, Estimate()),
        ((PLAIN,), None, Estimate(100)),
        ((STREAM,), 200, Estimate(100, 7)),
        ((PLAIN,), 200, ESTIMATE),
        ((), 200, ESTIMATE),
    ],
)
def test_what_is_not_told_is_told_apart_by_input_and_output(
    known: tuple[object, ...], status: int | None, expected: Estimate
) -> None:
    scope: dict[str, Any] = {}
    facts.open_in(scope)
    for fact in known:
        facts.put(scope, fact)
    assert untold(scope, ESTIMATE, status) == expected


def test_a_stream_writes_a_token_an_event_as_far_as_it_may() -> None:
    capped = Call(CHAT, output_cap=2, choices=3)
    assert streamed(ESTIMATE, None, 9) == Estimate(100, 9)
    assert streamed(ESTIMATE, capped, 9) == Estimate(100, 6)
    assert streamed(ESTIMATE, capped, 5) == Estimate(100, 5)
