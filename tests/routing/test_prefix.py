"""What two requests have in common, however their bodies are written."""

import json
from itertools import takewhile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.routing.prefix import BLOCK, WINDOW, Prefix, read_prefix

SYSTEM = {"role": "system", "content": "You are a lawyer. " * 400}
TOOLS = [{"type": "function", "function": {"name": f"tool_{n}"}} for n in range(200)]


def in_common(one: Prefix, other: Prefix) -> int:
    """Return how many blocks two prefixes share."""
    pairs = zip(one.blocks, other.blocks, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def chat(*contents: str, **more: object) -> bytes:
    turns = [{"role": "user", "content": content} for content in contents]
    return json.dumps({"messages": [SYSTEM, *turns], "model": "m", **more}).encode()


def test_a_later_turn_begins_as_the_earlier_ones() -> None:
    first = read_prefix(chat("Hello " * 1000))
    second = read_prefix(chat("Hello " * 1000, "And?" * 1000, temperature=1))
    # What stands behind the messages is in the last block only.
    assert in_common(first, second) >= len(first.blocks) - 1 > 3


def test_another_conversation_shares_the_blocks_of_the_system_prompt() -> None:
    one, other = read_prefix(chat("a" * 9000)), read_prefix(chat("b" * 9000))
    assert in_common(one, other) == len(json.dumps(SYSTEM)) // BLOCK


@pytest.mark.parametrize("name", ["messages", "input", "prompt"])
def test_whatever_an_operation_calls_its_input_is_found(name: str) -> None:
    long = "word " * 2000
    one = read_prefix(json.dumps({"model": "m", "user": "a", name: long + "one"}).encode())
    other = read_prefix(json.dumps({"model": "m", "user": "b", name: long + "other"}).encode())
    assert in_common(one, other) == len(one.blocks) == 4


def test_tools_come_first_wherever_they_stand() -> None:
    """Servers write them before the messages, so they are what is cached of a new conversation."""
    one = {"messages": [{"role": "user", "content": "Hello!"}], "tools": TOOLS, "stream": True}
    other = {"messages": [{"role": "user", "content": "What now?"}], "tools": TOOLS, "n": 2}
    shared = in_common(
        read_prefix(json.dumps(one).encode()), read_prefix(json.dumps(other).encode())
    )
    assert shared == len(json.dumps(TOOLS)) // BLOCK > 3
    before = [json.dumps({"tools": TOOLS, **body}).encode() for body in (one, other)]
    assert in_common(*map(read_prefix, before)) == len(json.dumps(TOOLS)) // BLOCK


def test_instructions_of_a_response_come_before_its_input() -> None:
    bodies = [
        json.dumps({"input": text, "instructions": "Be brief. " * 1000, "store": False}).encode()
        for text in ("Hello!", "Good morning!")
    ]
    assert in_common(*map(read_prefix, bodies)) == 4


def test_other_tools_are_another_prefix() -> None:
    others = [{"type": "function", "function": {"name": "other"}}]
    assert in_common(read_prefix(chat("x", tools=TOOLS)), read_prefix(chat("x", tools=others))) == 0


def test_another_model_is_another_prefix() -> None:
    body = chat("x" * 5000)
    assert in_common(read_prefix(body, "a"), read_prefix(body, "b")) == 0
    assert in_common(read_prefix(body, "a"), read_prefix(body, "a")) > 3


@pytest.mark.parametrize(
    "text",
    [
        '{"messages": [{"content": "%s", "tools": 1}]}',
        '{"messages": [{"content": "%s", "type": "tools"}]}',
        '{"messages": "%s", "tools": [',
        '{"input": "%s", "a": {"instructions": [1]}}',
    ],
)
def test_a_name_where_none_is_expected_harms_nobody(text: str) -> None:
    assert len(read_prefix((text % ("x" * 9000)).encode()).blocks) == 4


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b'{"messages":"' + b"x" * (BLOCK - 20), b"x" * 9000, b'{"a":"\\"messages\\""}'],
)
def test_short_bodies_and_others_have_none(body: bytes) -> None:
    assert read_prefix(body).blocks == ()


def test_no_more_is_looked_at_than_tells_prompts_apart() -> None:
    assert len(read_prefix(chat("x" * 10 * WINDOW)).blocks) == WINDOW // BLOCK
    hidden = b'{"a":"' + b"x" * WINDOW + b'","messages":"' + b"x" * WINDOW
    assert read_prefix(hidden).blocks == ()


@given(st.binary(max_size=300), st.binary(max_size=3 * BLOCK), st.integers(0, 5))
def test_any_bytes_have_a_prefix_of_whole_blocks(start: bytes, more: bytes, times: int) -> None:
    body = start + b'"messages":' + b"x" * (times * BLOCK) + more
    assert len(read_prefix(body).blocks) <= len(body) // BLOCK


@given(st.binary(max_size=4 * BLOCK), st.binary(max_size=2 * BLOCK), st.binary(max_size=2 * BLOCK))
def test_bodies_share_as_many_blocks_as_they_begin_alike(a: bytes, b: bytes, c: bytes) -> None:
    head = b'"prompt":' + a
    one, other = head + b"\x00" + b + b" " * BLOCK, head + b"\xff" + c + b" " * BLOCK
    found = one.find(b'"tools"') < 0 and other.find(b'"tools"') < 0
    if found:
        assert in_common(read_prefix(one), read_prefix(other)) == len(head) // BLOCK
