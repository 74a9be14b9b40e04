"""Who has which prefix, for how long, and who is believed."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.clock import Clock
from veneer.routing.affinity import Affinity
from veneer.routing.prefix import BLOCK, BLOCK_TOKENS, Prefix


def body(blocks: int, end: str = "") -> bytes:
    """Return a body whose messages fill so many blocks, and a little of the next."""
    return json.dumps({"messages": "x" * (blocks * BLOCK) + end}).encode()


def prefix(*names: int) -> Prefix:
    """Return a prefix of blocks with these numbers."""
    return Prefix(tuple(names))


def test_who_was_sent_a_prefix_is_warm_and_nobody_else() -> None:
    affinity = Affinity()
    affinity.note(affinity.prefix(body(5)), "a")
    assert affinity.warm(affinity.prefix(body(5)), "a") == 5 * BLOCK_TOKENS
    assert affinity.warm(affinity.prefix(body(9)), "a") == 5 * BLOCK_TOKENS
    assert affinity.warm(affinity.prefix(body(3)), "a") == 3 * BLOCK_TOKENS
    assert affinity.warm(affinity.prefix(body(5)), "b") == 0


def test_short_bodies_are_nowhere_warm_and_leave_nothing() -> None:
    affinity = Affinity()
    short = affinity.prefix(b'{"messages":"Hello!"}')
    affinity.note(short, "a", 0)
    assert affinity.warm(short, "a") == 0
    assert len(affinity) == 0


def test_what_was_not_asked_for_of_late_is_gone() -> None:
    clock = Clock()
    affinity = Affinity(ttl=300, clock=clock)
    affinity.note(prefix(1, 2, 3), "a")
    clock.now += 200
    affinity.note(prefix(1, 2), "a")
    clock.now += 99
    assert affinity.warm(prefix(1, 2, 3), "a") == 3 * BLOCK_TOKENS
    clock.now += 1
    assert affinity.warm(prefix(1, 2, 3), "a") == 2 * BLOCK_TOKENS
    clock.now += 200
    assert affinity.warm(prefix(1, 2, 3), "a") == 0


def test_the_oldest_blocks_go_first_and_of_a_prefix_its_end() -> None:
    affinity = Affinity(most=5)
    affinity.note(prefix(1, 2, 3), "a")
    affinity.note(prefix(4, 5, 6), "a")
    assert affinity.warm(prefix(1, 2, 3), "a") == 2 * BLOCK_TOKENS
    affinity.note(prefix(1, 2), "a")
    affinity.note(prefix(7), "a")
    assert affinity.warm(prefix(1, 2), "a") == 2 * BLOCK_TOKENS
    assert affinity.warm(prefix(4, 5, 6), "a") == 2 * BLOCK_TOKENS


def test_who_reports_less_than_was_expected_is_believed_less() -> None:
    affinity = Affinity()
    for _ in range(30):
        for member, cached in (("honest", 1024), ("half", 512), ("cold", 0), ("silent", None)):
            again = prefix(1, 2)
            affinity.warm(again, member)
            affinity.note(again, member, None)
            affinity.note(again, member, cached)
    assert affinity.warm(prefix(1, 2), "honest") == 1024
    assert affinity.warm(prefix(1, 2), "silent") == 1024
    assert affinity.warm(prefix(1, 2), "half") == pytest.approx(512, abs=1)
    # Not nothing: among its like it is the best choice, should they merely not tell.
    assert affinity.warm(prefix(1, 2), "cold") == 64


def test_the_first_call_with_a_prefix_finds_nothing_and_harms_nobody() -> None:
    affinity = Affinity()
    first = prefix(1, 2)
    assert affinity.warm(first, "a") == 0
    affinity.note(first, "a")
    affinity.note(first, "a", 0)
    assert affinity.warm(prefix(1, 2), "a") == 1024


def test_a_member_that_caches_again_is_believed_again() -> None:
    affinity = Affinity()
    for cached in [0] * 40 + [4096] * 40:
        affinity.note(prefix(1, 2), "a", cached)
    assert affinity.warm(prefix(1, 2), "a") > 1000


def test_a_member_that_is_gone_is_forgotten() -> None:
    affinity = Affinity()
    for _ in range(9):
        affinity.note(prefix(1), "a", 0)
    assert affinity.warm(prefix(1), "a") < 512
    affinity.forget("a")
    affinity.forget("a")
    assert affinity.warm(prefix(1), "a") == 512


@pytest.mark.parametrize("wrong", [{"ttl": 0}, {"ttl": float("nan")}, {"most": 0}])
def test_settings_that_cannot_be_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give seconds above 0"):
        Affinity(**wrong)  # type: ignore[arg-type]  # they are wrong on purpose


numbers = st.integers(0, 3)
chains = st.lists(numbers, min_size=1, max_size=6)
events = st.lists(
    st.tuples(chains, st.sampled_from("abc"), st.floats(0, 200), st.none() | st.integers(0, 4000)),
    max_size=40,
)


def chained(names: list[int]) -> Prefix:
    """Return the prefix with these blocks, each of which stands for those before it, too."""
    return Prefix(tuple(hash(tuple(names[: end + 1])) for end in range(len(names))))


@given(events, st.integers(1, 60), chains)
def test_more_of_a_prefix_is_never_less_warm_and_memory_is_bounded(
    happened: list[tuple[list[int], str, float, int | None]], most: int, asked: list[int]
) -> None:
    clock = Clock()
    affinity = Affinity(ttl=300, most=most, clock=clock)
    for names, member, seconds, cached in happened:
        clock.now += seconds
        affinity.note(chained(names), member, cached)
        assert len(affinity) <= most
    for member in "abc":
        warm = [affinity.warm(chained(asked[:end]), member) for end in range(len(asked) + 1)]
        assert warm == sorted(warm)
        assert warm[-1] <= len(asked) * BLOCK_TOKENS


@given(st.lists(st.tuples(chains, st.sampled_from("ab")), max_size=20), chains)
def test_what_is_warm_is_the_longest_common_prefix(
    happened: list[tuple[list[int], str]], asked: list[int]
) -> None:
    affinity = Affinity(clock=Clock())
    for names, member in happened:
        affinity.note(chained(names), member)
    for member in "ab":
        sent = [names for names, to in happened if to == member]
        longest = max(
            (end for end in range(len(asked) + 1) for names in sent if names[:end] == asked[:end]),
            default=0,
        )
        assert affinity.warm(chained(asked), member) == longest * BLOCK_TOKENS
