"""What may be left out of a call because its model does not support it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.catalog.dropping import droppable, unknown_members, warning
from veneer.catalog.model import ESSENTIAL, Model
from veneer.wire.splice import DuplicateMemberError, without

PLAIN = Model(id="m", capabilities=frozenset())
LACKING = Model(id="m", unsupported_parameters=("seed", "logprobs"))


def names(model: Model, **body: Any) -> tuple[str, ...]:
    return droppable(model, json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"reasoning_effort": "low"}, ("reasoning_effort",)),
        ({"reasoning": {"effort": "low"}}, ("reasoning",)),
        ({"tool_choice": "required"}, ("tool_choice",)),
        ({"tool_choice": "auto", "reasoning_effort": "none", "reasoning": None}, ()),
        ({"tools": [{}], "response_format": {"type": "json_object"}, "dimensions": 5}, ()),
        ({"text": {"format": {"type": "json_schema"}}, "stream": True, "max_tokens": 10**9}, ()),
    ],
)
def test_what_asks_for_more_than_a_model_can_may_be_left_out_if_the_answer_stays_what_it_is(
    body: dict[str, Any], expected: tuple[str, ...]
) -> None:
    assert names(PLAIN, **body) == expected
    assert names(Model(id="m"), **body) == ()


def test_members_that_a_model_does_not_know_are_found_by_any_spelling() -> None:
    assert names(LACKING, seed=1, messages=["seed"], logprobs=True) == ("seed", "logprobs")
    assert unknown_members(LACKING, rb'{"s\u0065ed": 1}') == ("seed",)
    assert names(LACKING, seed=None, messages=[{"logprobs": 1}]) == ()


def test_a_member_that_is_named_for_two_reasons_is_named_once() -> None:
    model = Model(id="m", capabilities=frozenset(), unsupported_parameters=("reasoning_effort",))
    assert names(model, reasoning_effort="low") == ("reasoning_effort",)


def test_a_member_that_stands_twice_is_refused() -> None:
    with pytest.raises(DuplicateMemberError):
        droppable(LACKING, b'{"seed": 1, "seed": 2}')


@pytest.mark.parametrize("name", sorted(ESSENTIAL))
def test_no_model_does_without_what_makes_a_call(name: str) -> None:
    with pytest.raises(ValueError, match=f"cannot be asked without '{name}'"):
        Model(id="m", unsupported_parameters=("seed", name))


MEMBERS = st.sampled_from(
    ["seed", "logprobs", "reasoning_effort", "reasoning", "tool_choice", "messages", "n"]
)
VALUES = st.sampled_from([None, "required", "low", {"effort": "low"}, 1, "seed", {"seed": 1}])


@given(st.dictionaries(MEMBERS, VALUES))
def test_without_them_nothing_is_left_to_be_dropped(body: dict[str, Any]) -> None:
    model = Model(id="m", capabilities=frozenset(), unsupported_parameters=("seed", "logprobs"))
    text = json.dumps(body).encode()
    found = droppable(model, text)
    left = without(text, found)
    assert droppable(model, left) == ()
    assert set(unknown_members(model, text)) <= set(found) <= set(body) - {"messages", "n"}
    assert json.loads(left) == {name: value for name, value in body.items() if name not in found}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("seed", "unsupported_parameter"),
        ("service_tier", "unsupported_field"),
        ("extensions", "ignored_extension"),
    ],
)
def test_the_client_is_told_which_one_was_left_out(name: str, kind: str) -> None:
    told = warning(name)
    assert (told.type, told.code) == (kind, f"{name}_not_supported")
    assert f"'{name}'" in told.message
