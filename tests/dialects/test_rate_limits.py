"""Rate-limit fields: what each API and each draft says of the same standings."""

import re
from datetime import datetime
from fractions import Fraction
from math import ceil
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dialects.structured import read_dictionary, read_list
from veneer.dialects import OPENAI
from veneer.dialects.rate_limits import (
    LAST_SECOND,
    MOST,
    auriko_fields,
    aurous_fields,
    duration,
    ietf_fields,
    openai_fields,
    string,
    tightest,
)
from veneer.facts import Standing

NOW = 1_800_000_000.25

UNITS = ["requests", "tokens", "concurrent-requests"]


def standing(  # noqa: PLR0913 - every member of a standing has a name
    unit: str = "requests",
    limit: int = 60,
    remaining: int = 59,
    reset: float = 1.0,
    *,
    policy: str | None = None,
    window: float = 60.0,
) -> Standing:
    """Return a standing of a policy that is called after its unit."""
    return Standing(
        policy=unit if policy is None else policy,
        unit=unit,
        limit=limit,
        window=window,
        remaining=remaining,
        reset=reset,
    )


CONCURRENT = standing("concurrent-requests", 4, 0, 0.0, window=0.0)

# Requests first, then tokens, as OpenAI sends them.
BOTH = (standing("requests", 10000, 9481, 3.114), standing("tokens", 150000, 149984, 0.0064))


@st.composite
def standings(draw: st.DrawFn) -> Standing:
    """Make what a limiter that counts evenly would say."""
    unit = draw(st.sampled_from(UNITS))
    limit = draw(st.integers(1, 10**18))
    policy = draw(st.sampled_from(["a", "b", unit]))
    if unit == "concurrent-requests":
        remaining = draw(st.integers(0, limit))
        return standing(unit, limit, remaining, 0.0, policy=policy, window=0.0)
    window = draw(st.floats(0.5, 1e8))
    level = draw(st.floats(0, 3.0)) * limit
    remaining = max(0, int(limit - level))
    return standing(unit, limit, remaining, level / limit * window, policy=policy, window=window)


# Durations


def seconds_of(text: bytes) -> Fraction:
    """Read a duration exactly as Go would have written it, and as nothing else."""
    if text == b"0s":
        return Fraction(0)
    if small := re.fullmatch(rb"([1-9][0-9]{0,2})ms", text):
        return Fraction(int(small[1]), 1000)
    found = re.fullmatch(rb"(?:(?:([0-9]+)h)?([0-9]+)m)?([0-9]+)(?:\.([0-9]{0,2}[1-9]))?s", text)
    assert found, text
    hours, minutes, seconds, fraction = found.groups()
    for number in filter(None, (hours, minutes, seconds)):
        assert number == b"0" or not number.startswith(b"0"), text
    assert int(seconds) < 60, text
    assert int(minutes or 0) < 60, text
    # The highest unit that is written is not zero.
    assert int(next(filter(None, (hours, minutes, seconds)))) > 0, text
    whole = int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds)
    return whole + Fraction(int(fraction or 0), 10 ** len(fraction or b""))


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, b"0s"),
        (-0.0, b"0s"),
        (-1.0, b"0s"),
        (1e-12, b"0s"),
        (0.0001, b"1ms"),
        (0.004, b"4ms"),
        (0.012, b"12ms"),
        (0.999, b"999ms"),
        (0.9991, b"1s"),
        (1.0, b"1s"),
        (1.5, b"1.5s"),
        (1.05, b"1.05s"),
        (3.114, b"3.114s"),
        (8.64, b"8.64s"),
        (10.0, b"10s"),
        (59.999, b"59.999s"),
        (59.9999, b"1m0s"),
        (60.0, b"1m0s"),
        (90.25, b"1m30.25s"),
        (360.0, b"6m0s"),
        (3599.9999, b"1h0m0s"),
        (3600.0, b"1h0m0s"),
        (86400.0, b"24h0m0s"),
        (90061.001, b"25h1m1.001s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: bytes) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("limit", "window", "remaining", "text"),
    [
        (10_000, 60, 9481, b"3.114s"),
        (10_000, 86400, 9999, b"8.64s"),
        (5000, 60, 4999, b"12ms"),
        (10_000, 60, 10_000, b"0s"),
    ],
)
def test_resets_that_openai_was_seen_to_send(
    limit: int, window: float, remaining: int, text: bytes
) -> None:
    assert duration((limit - remaining) / limit * window) == text


@given(st.integers(0, 10**9))
def test_whole_milliseconds_come_back_as_they_were(milliseconds: int) -> None:
    assert seconds_of(duration(milliseconds / 1000)) == Fraction(milliseconds, 1000)


@given(st.floats(0, 1e6))
def test_a_duration_is_rounded_up_by_less_than_a_millisecond(seconds: float) -> None:
    written = seconds_of(duration(seconds))
    assert Fraction(seconds) - Fraction(1, 10**8) <= written < seconds + Fraction(1001, 10**6)


# OpenAI, Aurous, Auriko


def test_openai_has_three_fields_for_each_unit() -> None:
    assert openai_fields(BOTH, NOW) == [
        (b"x-ratelimit-limit-requests", b"10000"),
        (b"x-ratelimit-remaining-requests", b"9481"),
        (b"x-ratelimit-reset-requests", b"3.114s"),
        (b"x-ratelimit-limit-tokens", b"150000"),
        (b"x-ratelimit-remaining-tokens", b"149984"),
        (b"x-ratelimit-reset-tokens", b"7ms"),
    ]


def test_openai_has_no_fields_for_a_unit_that_nobody_counts() -> None:
    assert openai_fields((), NOW) == []
    assert [name for name, _ in openai_fields(BOTH[:1], NOW)] == [
        b"x-ratelimit-limit-requests",
        b"x-ratelimit-remaining-requests",
        b"x-ratelimit-reset-requests",
    ]


def test_scripts_may_read_the_fields_of_openai() -> None:
    exposed = {name.lower().encode() for name in OPENAI.exposed}
    fields = [*OPENAI.rate_limit_fields(BOTH, NOW), *ietf_fields("draft-11")(BOTH)]

    assert OPENAI.rate_limit_fields is openai_fields
    assert {name for name, _ in fields} <= exposed


def test_aurous_gives_points_in_time_and_all_that_openai_gives() -> None:
    fields = aurous_fields(BOTH, NOW)

    assert fields[:6] == [
        (b"x-ratelimit-limit", b"10000"),
        (b"x-ratelimit-remaining", b"9481"),
        (b"x-ratelimit-reset", b"1800000004"),
        (b"x-ratelimit-tpm-limit", b"150000"),
        (b"x-ratelimit-tpm-remaining", b"149984"),
        (b"x-ratelimit-tpm-reset", b"1800000001"),
    ]
    assert fields[6:] == openai_fields(BOTH, NOW)
    assert aurous_fields((), NOW) == []


def test_auriko_gives_requests_alone_and_a_reset_in_iso_8601() -> None:
    assert auriko_fields(BOTH, NOW) == [
        (b"x-ratelimit-limit-requests", b"10000"),
        (b"x-ratelimit-remaining-requests", b"9481"),
        (b"x-ratelimit-reset-requests", b"2027-01-15T08:00:04Z"),
    ]
    assert auriko_fields(BOTH[1:], NOW) == []


@given(st.floats(0, 2e11), st.floats(0, 1e12))
def test_a_reset_in_iso_8601_is_the_next_whole_second(now: float, reset: float) -> None:
    value = dict(auriko_fields([standing(reset=reset)], now))[b"x-ratelimit-reset-requests"]
    read = datetime.fromisoformat(value.decode())

    assert re.fullmatch(rb"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z", value)
    assert read.timestamp() == min(ceil(now + reset), LAST_SECOND)


@pytest.mark.parametrize("write", [openai_fields, aurous_fields, auriko_fields])
def test_concurrent_requests_have_no_fields_in_these_apis(write: object) -> None:
    assert callable(write)
    assert write([CONCURRENT], NOW) == []
    assert write([CONCURRENT, *BOTH], NOW) == write(BOTH, NOW)


# The tightest


def test_the_fewest_remaining_are_shown() -> None:
    minute = standing("requests", 60, 12, 48.0)
    day = standing("requests", 1000, 11, 80000.0)

    assert tightest([minute, day], "requests") is day
    assert tightest([day, minute], "requests") is day
    assert openai_fields([minute, day], NOW) == openai_fields([day], NOW)


def test_of_equally_many_those_with_the_longest_reset_are_shown() -> None:
    minute = standing("tokens", 60, 0, 61.0)
    day = standing("tokens", 1000, 0, 86400.0)

    assert tightest([minute, day], "tokens") is day
    assert tightest([day, minute], "tokens") is day


@given(st.lists(standings(), max_size=6))
def test_the_shown_standing_is_one_whole_standing(every: list[Standing]) -> None:
    for unit in UNITS:
        ours = [one for one in every if one.unit == unit]
        found = tightest(every, unit)
        if not ours:
            assert found is None
            continue
        assert found in ours
        best = min((one.remaining, -one.reset) for one in ours)
        assert found is not None
        assert (found.remaining, -found.reset) == best


@given(st.lists(standings(), max_size=6))
def test_the_fields_of_any_standings_can_be_read(every: list[Standing]) -> None:
    fields = openai_fields(every, NOW)
    values = dict(fields)

    assert len(values) == len(fields)
    for name, value in fields:
        if b"-reset-" in name:
            assert seconds_of(value) >= 0
        else:
            assert value.isdigit()
    for unit in ("requests", "tokens"):
        shown = tightest(every, unit)
        assert (f"x-ratelimit-limit-{unit}".encode() in values) is (shown is not None)


# The IETF's drafts


def test_an_unknown_draft_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'draft-12'. Known are draft-11, draft-7"):
        ietf_fields("draft-12")


@pytest.mark.parametrize("version", ["draft-11", "draft-7"])
def test_without_standings_no_draft_has_fields(version: str) -> None:
    assert ietf_fields(version)([]) == []


def test_draft_11_names_every_policy() -> None:
    every = (
        standing("requests", 60, 59, 1.0, policy="rpm"),
        standing("tokens", 150000, 149984, 0.0064, policy="tpm"),
        standing("concurrent-requests", 4, 0, 0.0, policy="now", window=0.0),
    )
    assert ietf_fields("draft-11")(every) == [
        (
            b"ratelimit-policy",
            b'"rpm";q=60;w=60, "tpm";q=150000;w=60;qu="tokens", "now";q=4;qu="concurrent-requests"',
        ),
        (b"ratelimit", b'"rpm";r=59;t=1, "tpm";r=149984;t=1, "now";r=0'),
    ]


def test_draft_7_shows_the_tightest_alone() -> None:
    assert ietf_fields("draft-7")([CONCURRENT, *BOTH]) == [
        (b"ratelimit-policy", b"10000;w=60"),
        (b"ratelimit", b"limit=10000, remaining=9481, reset=4"),
    ]
    assert ietf_fields("draft-7")([CONCURRENT]) == []


def test_the_windows_of_one_policy_are_told_apart() -> None:
    minute = standing("requests", 60, 59, 1.0, window=60.0)
    year = standing("requests", 10**6, 10**6, 0.0, window=31_536_000.0)
    policies, limits = (value for _, value in ietf_fields("draft-11")([minute, year]))

    assert policies == b'"requests/60";q=60;w=60, "requests/31536000";q=1000000;w=31536000'
    assert limits == b'"requests/60";r=59;t=1, "requests/31536000";r=1000000;t=0'


@pytest.mark.parametrize(
    ("remaining", "level", "until"),
    [
        (60, 0.0, 0),
        (59, 0.5, 5),
        (59, 1.0, 10),
        (0, 59.5, 5),
        (0, 60.0, 10),
        # A debt comes first.
        (0, 75.0, 160),
    ],
)
def test_draft_11_tells_when_one_more_unit_is_there(
    remaining: int, level: float, until: int
) -> None:
    shown = standing("requests", 60, remaining, level * 10, window=600.0)
    ((_, parameters),) = read_list(dict(ietf_fields("draft-11")([shown]))[b"ratelimit"])

    assert parameters == {"r": remaining, "t": until}


@given(st.lists(standings(), min_size=1, max_size=6))
def test_draft_11_is_well_formed(every: list[Standing]) -> None:
    fields = dict(ietf_fields("draft-11")(every))
    policies = read_list(fields[b"ratelimit-policy"])
    limits = read_list(fields[b"ratelimit"])

    assert [name for name, _ in policies] == [name for name, _ in limits]
    for shown, (name, policy), (_, limit) in zip(every, policies, limits, strict=True):
        assert str(name).startswith(shown.policy)
        assert policy["q"] == min(shown.limit, MOST)
        assert limit["r"] == min(shown.remaining, MOST)
        assert policy.get("qu", "requests") == shown.unit
        if shown.unit == "concurrent-requests":
            assert "w" not in policy
            assert "t" not in limit
        else:
            assert policy["w"] == ceil(shown.window) > 0
            assert 0 <= int(limit["t"]) <= ceil(shown.reset)


@given(st.lists(standings(), max_size=6))
def test_draft_7_is_well_formed(every: list[Standing]) -> None:
    fields = dict(ietf_fields("draft-7")(every))
    counted = [one for one in every if one.window]
    if not counted:
        assert fields == {}
        return
    ((quota, parameters),) = read_list(fields[b"ratelimit-policy"])
    limit = read_dictionary(fields[b"ratelimit"])

    assert list(parameters) == ["w"]
    assert list(limit) == ["limit", "remaining", "reset"]
    assert limit["limit"] == quota
    assert limit["remaining"] == min(MOST, *(one.remaining for one in counted))


@given(st.text(max_size=64))
def test_any_name_is_a_string_of_a_structured_field(name: str) -> None:
    ((read, _),) = read_list(string(name))

    assert isinstance(read, str)
    assert unquote(read) == name.encode(errors="replace").decode()


@given(
    st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="%"))
)
def test_a_name_in_ascii_is_read_as_it_is(name: str) -> None:
    assert read_list(string(name)) == [(name, {})]


def test_names_are_escaped() -> None:
    assert string('a "b" \\c') == rb'"a \"b\" \\c"'
    assert string("50 % für\r\n") == rb'"50 %25 f%C3%BCr%0D%0A"'
