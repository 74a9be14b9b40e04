"""What a target knows under one name, and what is refused before it is sent to any."""

from typing import Any

import pytest

from tests.compat.test_functions import TOOLS, USER, call, refused, said
from veneer.compat.target import Target
from veneer.dialects import Kind

OLD = Target(max_tokens="max_tokens")
NEW = Target(max_tokens="max_completion_tokens")


@pytest.mark.parametrize(
    ("target", "given", "gets"),
    [
        (OLD, {"max_completion_tokens": 5}, {"max_tokens": 5}),
        (OLD, {"max_tokens": 5}, {"max_tokens": 5}),
        (OLD, {"max_tokens": 5, "max_completion_tokens": 9}, {"max_tokens": 5}),
        (OLD, {"max_tokens": None, "max_completion_tokens": 9}, {"max_tokens": 9}),
        (OLD, {"max_completion_tokens": None}, {"max_completion_tokens": None}),
        (NEW, {"max_tokens": 5}, {"max_completion_tokens": 5}),
        (NEW, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}),
        (TOOLS, {"max_tokens": 5, "max_completion_tokens": 9}, None),
    ],
)
def test_the_cap_has_the_name_that_the_target_knows(target: Target, given: Any, gets: Any) -> None:
    assert said(call(**given), target) == call(**(given if gets is None else gets))


def test_developers_are_the_system_where_there_are_none() -> None:
    target = Target(developer_role=False)
    odd = {"role": "user", "content": '"developer"', "name": "developer"}
    body = call({"role": "developer", "content": "Be brief"}, odd)
    assert said(body, target)["messages"] == [{"role": "system", "content": "Be brief"}, odd]
    assert said(body) == body


def test_a_role_that_stands_twice_is_refused() -> None:
    body = b'{"messages":[{"role":"user","role":"developer"}]}'
    assert refused(body, Target(developer_role=False)).kind is Kind.INVALID_JSON


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        ({"model": "m"}, Kind.MISSING_PARAMETER, "messages"),
        ({"messages": None}, Kind.MISSING_PARAMETER, "messages"),
        ({"messages": []}, Kind.INVALID_VALUE, "messages"),
        (b'{"messages": [\n ]}', Kind.INVALID_VALUE, "messages"),
        ({"messages": {"role": "user"}}, Kind.INVALID_TYPE, "messages"),
        ({"messages": "Hi"}, Kind.INVALID_TYPE, "messages"),
        (call(tool_choice="always"), Kind.INVALID_VALUE, "tool_choice"),
        (call(tool_choice=7), Kind.INVALID_TYPE, "tool_choice"),
        (call(tool_choice=[]), Kind.INVALID_TYPE, "tool_choice"),
        (call(tool_choice=True), Kind.INVALID_TYPE, "tool_choice"),
    ],
)
def test_what_nobody_could_serve_is_refused(body: Any, kind: Kind, param: str) -> None:
    error = refused(body)
    assert (error.kind, error.param) == (kind, param)


def test_what_looks_wrong_at_first_sight_may_be_right() -> None:
    for body in (
        {"metadata": {"messages": []}, "messages": [USER]},
        {"metadata": {"tool_choice": 1}, "messages": [USER]},
        {"messages": [{"role": "user", "content": '"tool_choice": 3, "messages": []'}]},
        call(tool_choice=None),
        call(tool_choice={"type": "allowed_tools"}),
        b'{"mess\\u0061ges":[{}],"model":"m"}',
    ):
        said(body)


def test_the_check_can_be_left_to_the_target() -> None:
    body = {"model": "m", "messages": [], "tool_choice": "any"}
    assert said(body, Target(check=False)) == body


def test_a_body_that_cannot_be_walked_is_refused() -> None:
    body = {f"m{number}": 1 for number in range(1001)} | call(function_call="auto")
    assert refused(body).kind is Kind.INVALID_JSON
