"""Members found at a glance, against those that a walk finds."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wire.test_splice import texts
from veneer.wire import splice
from veneer.wire.glance import Span, behind, in_front, outermost

MODEL = b'"model"'

STRINGS = st.sampled_from(["model", "x", '"model":"a"', '{"model":"a"}', "[", "}", "é"])
FLAT = STRINGS | st.text(max_size=4) | st.integers() | st.booleans()
NESTED = st.recursive(
    FLAT,
    lambda inner: st.one_of(
        st.lists(inner, max_size=2), st.dictionaries(STRINGS, inner, max_size=2)
    ),
    max_leaves=5,
)
OBJECTS = st.dictionaries(STRINGS, NESTED, max_size=4).flatmap(
    lambda some: st.permutations([*some.items(), ("model", "small")]).map(dict)
)


def text_at(data: bytes, span: Span | None) -> bytes | None:
    return None if span is None else data[slice(*span)]


@pytest.mark.parametrize(
    ("data", "front", "back"),
    [
        (b'{"model":"a"}', b'"a"', b'"a"'),
        (b' { "x" : 1, "model" :\n"a b" } ', None, b'"a b"'),
        (b'{"x":1,"model":"a","y":[]}', b'"a"', None),
        (b'{"y":[],"model":"a","x":1}', None, b'"a"'),
        (b'{"y":{},"model":"a","x":1}', None, b'"a"'),
        (b'{"y":{},"model":"a","x":{}}', None, None),
        (b'{"x":{"model":"a"}}', None, None),
        (b'{"x":[{"model":"a"}]}', None, None),
        (b'{"x":[],"y":{"model":"a"}}', None, None),
        (b'{"model":"a","model":"b"}', b'"a"', b'"a"'),
        (b'{"object":"model","id":"a"}', None, None),
        (b'{"x":"\\"model\\":\\"a\\""}', None, None),
        (b'{"\\"model":"a"}', None, None),
        (b'{"mod\\u0065l":"a"}', None, None),
        (b'{"model":"a\\u0062"}', None, None),
        (b'{"model":5}', None, None),
        (b"{}", None, None),
        (b"", None, None),
        (b"[]", None, None),
        (b'"model"', None, None),
    ],
)
def test_a_name_is_seen_where_one_side_of_it_is_flat(
    data: bytes, front: bytes | None, back: bytes | None
) -> None:
    assert text_at(data, in_front(data, MODEL)) == front
    assert text_at(data, behind(data, MODEL)) == back
    assert text_at(data, outermost(data, MODEL)) == (front or back)


@given(texts(OBJECTS))
def test_what_is_seen_is_the_member_of_the_object(data: bytes) -> None:
    for look in (in_front, behind, outermost):
        span = look(data, MODEL)
        if span is not None:
            assert span == splice.members(data, ("model",))["model"]


@given(st.lists(st.tuples(st.sampled_from(["model", "mod", "x"]), NESTED), max_size=4))
def test_of_members_that_stand_twice_one_of_the_outermost_is_seen(
    pairs: list[tuple[str, Any]],
) -> None:
    data = b"{%b}" % b",".join(json.dumps({name: v}).encode()[1:-1] for name, v in pairs)
    known = [json.dumps(v).encode() for name, v in pairs if name == "model"]
    for look in (in_front, behind):
        seen = text_at(data, look(data, MODEL))
        assert seen is None or seen in known
    front = text_at(data, in_front(data, MODEL))
    assert front is None or front == known[0]


@given(STRINGS | st.text(max_size=6))
def test_a_common_call_is_seen_through(content: str) -> None:
    messages = [{"role": "user", "content": content}]
    first = json.dumps({"model": "small", "messages": messages, "stream": True}).encode()
    last = json.dumps({"messages": messages, "model": "small", "stream": True}).encode()
    assert text_at(first, outermost(first, MODEL)) == b'"small"'
    flat = not set("]}") & set(content)
    assert text_at(last, outermost(last, MODEL)) == b'"small"' or not flat
