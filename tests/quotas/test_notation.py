"""The notation of limits: what can be is read to the letter, the rest refused with a sentence."""

import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.quotas.notation import MAX_LENGTH, MAX_LIMIT, MAX_WINDOW, check, parse
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Unit

UNITS: tuple[Unit, ...] = (REQUESTS, TOKENS, CONCURRENT)
SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "month": 2592000}

rates = st.tuples(
    st.integers(1, MAX_LIMIT),
    st.sampled_from(["/", " per ", "/ ", " / "]),
    st.integers(1, 300),
    st.sampled_from([*SECONDS, *(f"{name}s" for name in SECONDS), "MINUTE"]),
)
# Texts of the notation's own pieces, most of which are no limits.
near = st.lists(
    st.sampled_from(
        [
            *("0", "1", "60", "9" * 20, "-", " ", "/", "per", ";", ",", ":", "minute", "days"),
            *("eon", "unlimited", "\n", "\0", "٣", "\u017f", "\ud800"),
        ]
    ),
    max_size=12,
).map("".join)


@pytest.mark.parametrize("unit", [REQUESTS, TOKENS])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("60/minute; 10000/day", ((60, 60.0), (10000, 86400.0))),
        ("100 per 2 hours", ((100, 7200.0),)),
        ("1/second,2/minute|3 per hour", ((1, 1.0), (2, 60.0), (3, 3600.0))),
        ("  5 / MINUTES\n", ((5, 60.0),)),
        ("007/07 days", ((7, 604800.0),)),
        ("1/month; 1/year", ((1, 2592000.0), (1, 31104000.0))),
        (f"{MAX_LIMIT}/{MAX_WINDOW} seconds", ((MAX_LIMIT, float(MAX_WINDOW)),)),
        ("unlimited", ()),
        (" Unlimited ", ()),
    ],
)
def test_rates_are_read(unit: Unit, text: str, found: tuple[tuple[int, float], ...]) -> None:
    assert parse(text, unit) == found


@pytest.mark.parametrize(
    ("text", "found"),
    [("20", ((20, 0.0),)), (20, ((20, 0.0),)), (" 1 ", ((1, 0.0),)), ("unlimited", ())],
)
def test_concurrent_requests_are_a_whole_number(
    text: str | int, found: tuple[tuple[int, float], ...]
) -> None:
    assert parse(text, CONCURRENT) == found


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "'' is no limit of requests: give rates such as '60/minute; 10000/day'"),
        ("60", "is no limit of requests"),
        ("-1/minute", "is no limit of requests"),
        ("1.5/minute", "is no limit of requests"),
        ("٣/minute", "is no limit of requests"),
        ("5/fortnight", "by second, minute, hour, day, month or year, or 'unlimited'"),
        ("5/\u017fecond", "is no limit of requests"),
        ("60/minute;", "is no limit of requests"),
        ("unlimited; 60/minute", "is no limit of requests"),
        ("0/minute", "a limit that is not from 1 to"),
        ("1/second; 0/minute", "a limit that is not from 1 to"),
        (f"{MAX_LIMIT + 1}/minute", "a limit that is not from 1 to"),
        ("5 per 0 minutes", "has a time of zero"),
        ("5/00hours", "has a time of zero"),
        (f"5/{MAX_WINDOW + 1} seconds", "has a time over"),
        ("5/minute; 6 per 60 seconds", "has two limits for 60 seconds"),
        ("5/minute; 5/minute", "has two limits for 60 seconds"),
        ("1/minute" + " " * MAX_LENGTH, "is no limit of requests"),
    ],
)
def test_a_rate_that_cannot_be_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        parse(text, REQUESTS)


@pytest.mark.parametrize(
    "text",
    ["", "0", 0, "-1", -1, "1.5", "20/minute", "٣", MAX_LIMIT + 1, "9" * 5000, True],
)
def test_a_number_that_cannot_be_is_refused(text: str | int) -> None:
    with pytest.raises(ValueError, match=r"whole number|not from 1 to") as raised:
        parse(text, CONCURRENT)
    assert len(str(raised.value)) < 400


def test_a_number_is_no_rate() -> None:
    with pytest.raises(ValueError, match=r"^60 is no limit of requests: give rates"):
        parse(60, REQUESTS)


def read(text: str | int, unit: Unit) -> tuple[tuple[int, float], ...] | None:
    """Return what a text stands for; None where it is refused, in a sentence for people."""
    try:
        return parse(text, unit)
    except ValueError as error:
        sentence = str(error)
    assert sentence.isprintable()
    assert "give" in sentence
    return None


def test_a_number_that_is_too_long_to_be_written_is_refused() -> None:
    assert read(10**5000, CONCURRENT) is None
    assert read(-(10**5000), REQUESTS) is None


@given(text=st.text() | near, unit=st.sampled_from(UNITS))
def test_no_text_does_anything_but_be_read_or_refused(text: str, unit: Unit) -> None:
    found = read(text, unit)
    if found is not None:
        assert all(0 < limit <= MAX_LIMIT for limit, _ in found)
        assert all((window > 0) != (unit == CONCURRENT) for _, window in found)
        check(text)


@given(st.lists(rates, min_size=1, max_size=3), st.sampled_from([";", ",", "|", " ; "]))
def test_whatever_is_well_formed_is_read_as_it_is_written(
    written: list[tuple[int, str, int, str]], between: str
) -> None:
    text = between.join(f"{n}{per}{times} {name}" for n, per, times, name in written)
    windows = [times * SECONDS[name.lower().removesuffix("s")] for _, _, times, name in written]
    if len(set(windows)) < len(windows):
        with pytest.raises(ValueError, match="two limits"):
            parse(text, TOKENS)
    else:
        assert parse(text, TOKENS) == tuple(
            (n, window) for (n, _, _, _), window in zip(written, windows, strict=True)
        )


@pytest.mark.parametrize("text", ["60/minute", "20", "unlimited"])
def test_what_some_unit_can_have_is_a_limit(text: str) -> None:
    check(text)


@given(near)
def test_what_no_unit_can_have_is_no_limit(text: str) -> None:
    if all(read(text, unit) is None for unit in UNITS):
        with pytest.raises(ValueError, match="is no limit: give rates"):
            check(text)


@pytest.mark.parametrize(
    "maker",
    [
        "from veneer.quotas.policy import QuotaPolicy as make; arguments = ('unlimited',)",
        "from veneer.admin import AdminKeys as make; arguments = (None, None)",
    ],
)
def test_what_reads_rates_in_requests_has_loaded_what_it_needs(maker: str) -> None:
    """Else the loop stands still for a fifth of a second, once."""
    code = (
        f"import sys; {maker}; before = 'limits' in sys.modules; make(*arguments); "
        "print(before, 'limits' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False True\n"
