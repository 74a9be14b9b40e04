"""The members of a body: one of each name, and numbers only where they are some."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.counts import MAX_COUNT, count
from veneer.members import LONG, read_members
from veneer.wire.splice import DuplicateMemberError

OPERATIONS = ["chat.completions", "completions", "responses", "embeddings", "moderations"]


def facts_of(operation: str, body: Any) -> tuple[int, int | None, int]:
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    members = read_members(operation, text)
    return members.input_bytes(), members.output_cap(), members.choices()


@pytest.mark.parametrize(
    ("operation", "body", "expected"),
    [
        ("chat.completions", {}, (0, None, 1)),
        ("chat.completions", {"messages": [], "tools": [], "n": 3}, (4, None, 3)),
        ("chat.completions", {"max_tokens": 7}, (0, 7, 1)),
        ("chat.completions", {"max_tokens": 7, "max_completion_tokens": 9}, (0, 9, 1)),
        ("chat.completions", {"max_tokens": 7, "max_completion_tokens": None}, (0, 7, 1)),
        ("chat.completions", {"max_output_tokens": 1, "input": "abc", "best_of": 9}, (0, None, 1)),
        ("completions", {"prompt": "abc", "suffix": "d", "max_tokens": 2}, (8, 2, 1)),
        ("completions", {"prompt": ["a", "b"], "n": 2, "best_of": 5}, (10, None, 10)),
        ("completions", {"prompt": ["a", "b"], "n": 2, "best_of": 1}, (10, None, 4)),
        ("completions", {"prompt": "a", "max_completion_tokens": 2}, (3, None, 1)),
        ("responses", {"input": "a", "instructions": "b", "max_output_tokens": 5}, (6, 5, 1)),
        ("responses", {"input": "a", "max_tokens": 5, "n": 7}, (3, None, 1)),
        ("responses", {"tools": [1], "text": {}, "prompt": {"id": "x"}}, (16, None, 1)),
        ("embeddings", {"input": ["a"], "max_tokens": 5, "n": 4}, (5, None, 1)),
        ("moderations", {"input": "abc", "max_tokens": 5, "n": 4}, (0, None, 1)),
    ],
)
def test_each_operation_has_its_own_input_cap_and_choices(
    operation: str, body: Any, expected: tuple[int, int | None, int]
) -> None:
    assert facts_of(operation, body) == expected


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("1", 1),
        ("5.0", 5),
        ("5e0", 5),
        ("1.6E+1", 16),
        (str(MAX_COUNT), MAX_COUNT),
        (str(MAX_COUNT + 1), None),
        ("0", None),
        ("-0", None),
        ("-5", None),
        ("0.5", None),
        ("5.5", None),
        ("1e999", None),
        ("1" * 5000, None),
        ("1." + "0" * 5000, None),
        ("null", None),
        ("true", None),
        ('"5"', None),
        ("[5]", None),
        ('{"5":5}', None),
        ("[" * 500 + "]" * 500, None),
    ],
)
def test_a_number_counts_if_it_is_one_that_a_cap_may_have(text: str, number: int | None) -> None:
    assert count(msgspec.Raw(text.encode())) == number
    assert facts_of("chat.completions", f'{{"max_tokens":{text},"n":{text}}}'.encode()) == (
        0,
        number,
        5 if text == '"5"' else number or 1,
    )


@pytest.mark.parametrize(
    ("text", "answers"),
    [
        ('"128"', 128),
        ('" 1_28 "', 128),
        ('"\\u0031.28e2"', 128),
        ('"' + "0" * 4000 + '128"', 128),
        ('"' + "0" * 5000 + '128"', 1),
        ('"-5"', 1),
        ('"5.5"', 1),
        ('"nan"', 1),
        ('"1e999"', 1),
        ('""', 1),
        ('"many"', 1),
    ],
)
def test_a_number_in_quotes_asks_for_as_many_answers(text: str, answers: int) -> None:
    assert facts_of("chat.completions", f'{{"n":{text}}}'.encode())[2] == answers
    assert facts_of("completions", f'{{"best_of":{text}}}'.encode())[2] == answers


@pytest.mark.parametrize(
    ("one", "other", "cap"),
    [
        ("1", "100000", 100000),
        ("100000", "1", 100000),
        ("null", "7", 7),
        ("1", "1e9", None),
        ('"1"', "1", None),
        ("0", "1", None),
        ("null", "null", None),
    ],
)
def test_of_two_caps_the_greater_counts_unless_one_is_none(
    one: str, other: str, cap: int | None
) -> None:
    for first, second in ((one, other), (other, one)):
        body = f'{{"max_completion_tokens":{first},"max_tokens":{second}}}'
        assert facts_of("chat.completions", body.encode())[1] == cap


@pytest.mark.parametrize("operation", OPERATIONS)
@pytest.mark.parametrize("size", [1, LONG, 10 * LONG])
def test_none_of_the_members_that_are_read_may_stand_twice(operation: str, size: int) -> None:
    for name in read_members(operation, b"{}").__struct_fields__:
        value = b'["' + b"x" * size + b'"]'
        again = b'%b,"x":{"y":"z"},"%b":%b'
        quoted = name.encode()
        escaped = b"\\u%04x" % quoted[0] + quoted[1:]
        for first, second in ((quoted, quoted), (escaped, quoted), (quoted, escaped)):
            for one, other in ((value, b"1"), (b"1", value), (value, value)):
                body = b'{"%b" : ' % first + again % (one, second, other) + b"}"
                with pytest.raises(DuplicateMemberError) as raised:
                    read_members(operation, body)
                assert raised.value.name == name


@pytest.mark.parametrize(
    "body",
    [
        b'{"x":{"messages":%b},"messages":%b,"messages":1}',
        b'{"x":[{"messages":%b}],"messages":1,"messages":%b}',
        b'{"x\\"messages":%b,"messages":%b,"messages":%b}',
        b'{"x":"\\\\","messages":1,"y\\"messages":%b,"messages":%b}',
        b'{"messages":1,"x":"\\"messages\\":[","messages":%b}',
    ],
)
def test_no_second_member_hides_behind_a_long_value(body: bytes) -> None:
    value = b'[{"content":"' + b"x" * LONG + b'"}]'
    places = body.count(b"%b")
    with pytest.raises(DuplicateMemberError):
        read_members("chat.completions", body % ((value,) * places))


@pytest.mark.parametrize(
    "messages",
    [
        '"messages":1,"messages":2',
        '\\"messages\\" \\u0041',
        '{"messages":[],"n":1,"model":"a","tools":[]}',
    ],
)
def test_what_stands_inside_of_a_long_value_is_not_a_member(messages: str) -> None:
    body = {"messages": [messages, "x" * LONG], "n": 1, "model": "m", "tools": ["x" * LONG]}
    assert facts_of("chat.completions", body)[2] == 1


NAMES = st.sampled_from(["messages", "tools", "n", "model", "x", 'y"messages', "\\", '"'])
VALUES = st.recursive(
    st.integers(0, 3) | st.sampled_from(["messages", '"messages":', "\\", "x" * LONG]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(NAMES, VALUES), max_size=6), st.booleans())
def test_members_are_refused_exactly_if_one_that_is_read_stands_twice(
    pairs: list[tuple[str, Any]],
    spaced: bool,  # noqa: FBT001 - hypothesis gives it
) -> None:
    separators = (", ", ": ") if spaced else (",", ":")
    texts = [
        json.dumps(name) + separators[1] + json.dumps(value, separators=separators)
        for name, value in pairs
    ]
    body = ("{" + separators[0].join(texts) + "}").encode()
    names = [name for name, _ in pairs if name in ("messages", "tools", "n", "model")]
    if len(set(names)) == len(names):
        read_members("chat.completions", body)
    else:
        with pytest.raises(DuplicateMemberError):
            read_members("chat.completions", body)
