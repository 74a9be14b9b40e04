"""The end of an answer that is too much to be held."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.streams import USAGE, compact, cut
from veneer.wire.ending import KEPT, Ending
from veneer.wire.usage import usage_in_body

LONG = "x" * (3 * KEPT)


def end_of(answer: bytes, *places: int) -> object:
    ending = Ending()
    for part in cut(answer, places):
        ending.take(part)
    members = ending.members()
    return None if members is None else msgspec.json.decode(members)


def test_the_last_members_are_found_from_the_usage_or_the_tier_on() -> None:
    last: dict[str, object] = {"usage": USAGE, "service_tier": "flex", "x": [{}]}
    assert end_of(compact({"choices": LONG, **last})) == last
    last = {"service_tier": "flex", "user": None, "usage": USAGE, "metadata": {"a": "}"}}
    assert end_of(compact({"output": LONG, **last}) + b"\n") == last


@given(st.lists(st.integers(0, 3 * KEPT + 100)))
def test_it_does_not_matter_how_an_answer_is_cut(places: list[int]) -> None:
    assert end_of(compact({"data": LONG, "usage": USAGE}), *places) == {"usage": USAGE}


def test_many_small_parts_are_not_all_kept() -> None:
    ending = Ending()
    for _ in range(1000):
        ending.take(b"x" * 1000)
        assert len(ending._kept) <= 3 * KEPT
    ending.take(compact({"usage": USAGE})[1:])
    assert ending.members() == compact({"usage": USAGE})


def test_the_usage_of_something_in_the_answer_is_not_its_own() -> None:
    for inner in (
        {"choices": [{"usage": USAGE}]},
        {"metadata": {"usage": USAGE}},
        {"choices": [], "text": 'x"usage":{"prompt_tokens":1}'},
        {"role": "usage"},
        {"usage": None},
        [{"usage": USAGE}],
    ):
        assert end_of(compact(inner)) is None


def test_the_name_may_stand_after_it_too() -> None:
    answer = compact({"usage": USAGE, "metadata": {"usage": "usage", "a": ["usage"]}})
    ending = Ending()
    ending.take(answer)
    members = ending.members()
    assert members is not None
    assert usage_in_body(members) == compact(USAGE)


@given(st.binary())
def test_nothing_raises(answer: bytes) -> None:
    assert end_of(answer) is None
    end_of(b'{"usage":' + answer)
    end_of(b'{"usage":{' + answer + b"}")
