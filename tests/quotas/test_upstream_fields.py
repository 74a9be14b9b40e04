"""The upstream's own rate-limit fields: passed on, hidden, or merged with ours."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.quotas.upstream_fields import combiner, hide, is_rate_limit, merge, pass_on

Field = tuple[bytes, bytes]

OTHERS = [(b"content-type", b"application/json"), (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2")]


def triple(unit: str, limit: object, remaining: object, reset: str) -> list[Field]:
    parts = {"limit": limit, "remaining": remaining, "reset": reset}
    return [
        (f"x-ratelimit-{part}-{unit}".encode(), str(value).encode())
        for part, value in parts.items()
    ]


OURS = triple("requests", 60, 59, "1s") + triple("tokens", 1000, 500, "30s")
THEIRS = triple("requests", 500, 499, "120ms") + triple("tokens", 100, 10, "54s")


def test_options_have_names() -> None:
    assert (combiner("pass"), combiner("hide"), combiner("merge")) == (pass_on, hide, merge)
    with pytest.raises(ValueError, match=r"'Hide'. Known are pass, hide, merge"):
        combiner("Hide")


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        (b"x-ratelimit-limit-requests", True),
        (b"x-ratelimit-reset-project-tokens", True),
        (b"x-ratelimit-limit", True),
        (b"ratelimit", True),
        (b"ratelimit-policy", True),
        (b"ratelimit-remaining", True),
        (b"ratelimited", False),
        (b"x-request-id", False),
        (b"retry-after", False),
    ],
)
def test_the_families_of_fields(name: bytes, is_one: bool) -> None:  # noqa: FBT001 - a table's column
    assert is_rate_limit(name) is is_one
    kept = hide([(name, b"1"), *OTHERS], [])
    assert kept == (OTHERS if is_one else [(name, b"1"), *OTHERS])


def test_hidden_fields_give_way_to_ours() -> None:
    theirs = [*THEIRS, (b"ratelimit", b'"a";r=1'), (b"x-ratelimit-limit-project-tokens", b"9")]
    assert hide([*OTHERS, *theirs], OURS) == [*OTHERS, *OURS]
    assert hide(OTHERS, []) == OTHERS


def test_fields_that_are_passed_on_stand_and_ours_fill_the_gaps() -> None:
    sent = [*OTHERS, *THEIRS[:3]]
    assert pass_on(sent, OURS) == [*sent, *OURS[3:]]
    assert pass_on(OTHERS, OURS) == [*OTHERS, *OURS]
    assert pass_on([*OTHERS, *THEIRS], OURS) == [*OTHERS, *THEIRS]


def test_the_stricter_of_each_unit_is_shown() -> None:
    assert merge([*OTHERS, *THEIRS], OURS) == [*OTHERS, *OURS[:3], *THEIRS[3:]]
    assert merge(OTHERS, OURS) == [*OTHERS, *OURS]


def test_ours_are_shown_where_both_have_as_many() -> None:
    assert merge(triple("requests", 100, 59, "2s"), OURS) == OURS


def test_a_unit_that_we_do_not_count_stays_the_upstreams() -> None:
    assert merge(THEIRS, OURS[:3]) == [*THEIRS[3:], *OURS[:3]]
    project = (b"x-ratelimit-remaining-project-tokens", b"5")
    assert merge([project], OURS) == [project, *OURS]


def test_fields_of_the_same_name_are_replaced_by_ours() -> None:
    ours = [*OURS, (b"ratelimit", b'"rpm";r=59;t=1')]
    assert merge([(b"ratelimit", b"limit=10, remaining=1, reset=7")], ours) == ours


@pytest.mark.parametrize(
    "theirs",
    [
        triple("requests", -1, -1, "-1"),
        triple("requests", 0, 0, "0"),
        triple("requests", -1, 0, "0"),
        triple("requests", "many", 1, "1s"),
        triple("requests", 100, "1.5", "1s"),
        triple("requests", 100, "", "1s"),
        triple("requests", 100, "1,000", "1s"),
        triple("requests", 100, "٣", "1s"),
        triple("requests", 100, 1, "soon"),
        triple("requests", 100, 1, "2027-01-15T08:00:04Z"),
        triple("requests", 100, "1" + "0" * 5000, "1s"),
        triple("requests", 100, 1, "1s")[:2],
        triple("requests", 100, 1, "1s")[1:],
        triple("requests", 100, 1, "1s") * 2,
        [*triple("requests", 100, 1, "1s"), (b"x-ratelimit-remaining-requests", b"2")],
    ],
)
def test_what_cannot_be_read_is_replaced_by_ours(theirs: Sequence[Field]) -> None:
    assert merge([*OTHERS, *theirs], OURS) == [*OTHERS, *OURS]


@pytest.mark.parametrize(
    ("reset", "shown"),
    [
        ("54", "54s"),
        ("60", "1m0s"),
        ("0", "0s"),
        ("6m0s", "6m0s"),
        ("1h0m0.5s", "1h0m0.5s"),
        ("17ms", "17ms"),
        ("1.5ms", "1.5ms"),
    ],
)
def test_a_reset_in_seconds_becomes_a_duration(reset: str, shown: str) -> None:
    theirs = triple("requests", 100, 1, reset)
    assert merge(theirs, OURS) == [*triple("requests", 100, 1, shown), *OURS[3:]]


def test_resets_that_are_no_durations_are_not_mixed_with_theirs() -> None:
    """Another dialect may have points in time in a field of the same name."""
    ours = triple("requests", 60, 59, "2027-01-15T08:00:04Z")
    assert merge(triple("requests", 100, 1, "1s"), ours) == ours


VALUES = st.one_of(st.integers(-1, 99).map(str), st.sampled_from(["1s", "6m0s", "", "x", "9" * 99]))
PARTS = st.tuples(
    st.sampled_from(["limit", "remaining", "reset"]), st.sampled_from(["requests", "tokens"])
)
NAMES = PARTS.map(lambda part: "x-ratelimit-{}-{}".format(*part)) | st.sampled_from(
    ["ratelimit", "ratelimit-policy", "x-ratelimit-limit", "date"]
)
FIELDS = st.lists(st.tuples(NAMES.map(str.encode), VALUES.map(str.encode)), max_size=12)


@given(FIELDS)
def test_nothing_that_is_ours_is_doubled_or_lost(headers: list[Field]) -> None:
    for option in ("pass", "hide", "merge"):
        combined = combiner(option)(headers, OURS)
        names = [name for name, _ in combined]
        for name, _ in OURS:
            assert name in names
            most = [sent for sent, _ in headers].count(name) if option == "pass" else 1
            assert names.count(name) <= max(1, most)
        assert [pair for pair in combined if pair[0] == b"date"] == [
            pair for pair in headers if pair[0] == b"date"
        ]


@given(FIELDS)
def test_merging_never_shows_more_than_we_have_left(headers: list[Field]) -> None:
    merged = dict(merge(headers, OURS))
    assert int(merged[b"x-ratelimit-remaining-requests"]) <= 59
    assert int(merged[b"x-ratelimit-remaining-tokens"]) <= 500
