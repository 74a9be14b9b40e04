"""Keys in turn, and those that rest."""

import pytest

from tests.clock import Clock
from veneer.upstream.keys import Keys


def shown(keys: Keys, times: int) -> list[bytes]:
    """Return the keys of the next calls, bare."""
    return [keys.next()[1].removeprefix(b"Bearer ") for _ in range(times)]


def test_a_key_is_a_bearer_token_in_authorization_and_bare_elsewhere() -> None:
    assert Keys(["a"]).next() == (b"authorization", b"Bearer a")
    assert Keys(["a"], header="X-Api-Key").next() == (b"x-api-key", b"a")


def test_keys_take_turns_from_the_first() -> None:
    assert shown(Keys(["a", "b", "c"]), 4) == [b"a", b"b", b"c", b"a"]


def test_a_key_that_was_struck_out_rests() -> None:
    clock = Clock(100.0)
    keys = Keys(["a", "b", "c"], rest=10.0, clock=clock)
    keys.strike_out(keys.next())
    assert shown(keys, 4) == [b"b", b"c", b"b", b"c"]
    clock.now += 10.0
    assert set(shown(keys, 3)) == {b"a", b"b", b"c"}


def test_the_upstream_may_say_how_long() -> None:
    clock = Clock(100.0)
    keys = Keys(["a", "b"], clock=clock)
    keys.strike_out(keys.next(), 3.0)
    clock.now += 2.9
    assert shown(keys, 2) == [b"b", b"b"]
    clock.now += 0.2
    assert set(shown(keys, 2)) == {b"a", b"b"}


def test_while_all_rest_the_one_that_rests_shortest_is_used() -> None:
    keys = Keys(["a", "b"], clock=Clock(100.0))
    first, second = keys.next(), keys.next()
    keys.strike_out(first, 50.0)
    keys.strike_out(second, 20.0)
    assert keys.next() == second


def test_an_only_key_never_rests() -> None:
    keys = Keys(["a"])
    keys.strike_out(keys.next())
    assert shown(keys, 1) == [b"a"]


@pytest.mark.parametrize("key", ["", "a b", "a\n", "\u00e9", "a\x00"])
def test_a_key_that_no_header_may_hold_is_refused_and_not_repeated(key: str) -> None:
    with pytest.raises(ValueError, match="line end or a space") as failure:
        Keys(["sk-good", key])
    assert "sk-good" not in str(failure.value)


def test_no_key_at_all_is_refused() -> None:
    with pytest.raises(ValueError, match="No upstream key"):
        Keys([])


@pytest.mark.parametrize("header", ["", "X Key", "X-Key:", "X-K\u00e9y"])
def test_a_field_that_cannot_be_is_refused(header: str) -> None:
    with pytest.raises(ValueError, match="api_key_header"):
        Keys(["a"], header=header)


def test_keys_do_not_show() -> None:
    assert repr(Keys(["sk-secret"])) == "Keys(1)"
