"""Edits of JSON text, against what `json.loads` makes of the text before and after."""

import json
import re
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from veneer.wire import splice
from veneer.wire.splice import (
    DuplicateMemberError,
    insert,
    members,
    remove,
    replace,
    set_member,
    value,
    without,
)

Object = dict[str, Any]

NAMES = st.one_of(
    st.sampled_from(["a", "model", "b c", "", '"', "\\", "é", "\U0001f600", "}", ","]),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=4),
)
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(['{"a":1}', "},{", '\\"', "1", "12"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)
SPACES = st.sampled_from(["", " ", "\n", "\t", "\r\n", "  "])


@st.composite
def texts(draw: st.DrawFn, objects: st.SearchStrategy[Object] = OBJECTS) -> bytes:
    """Draw the text of an object in any of the ways in which JSON can write it."""

    def gap() -> str:
        return draw(SPACES)

    def string(text: str) -> str:
        written = json.dumps(text, ensure_ascii=draw(st.booleans()))
        if draw(st.booleans()) and re.fullmatch("[a-z]+", text):
            written = '"' + "".join(f"\\u{ord(letter):04x}" for letter in text) + '"'
        return written

    def write(anything: Any) -> str:
        if isinstance(anything, dict):
            pairs = [
                f"{gap()}{string(name)}{gap()}:{gap()}{write(inner)}{gap()}"
                for name, inner in anything.items()
            ]
            return "{" + (",".join(pairs) or gap()) + "}"
        if isinstance(anything, list):
            return "[" + ",".join(gap() + write(inner) + gap() for inner in anything) + "]"
        return string(anything) if isinstance(anything, str) else json.dumps(anything)

    return (gap() + write(draw(objects)) + gap()).encode()


def paths_in(tree: Any, above: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """List the paths of every member that stands in objects only."""
    if not isinstance(tree, dict):
        return []
    return [
        path
        for name, inner in tree.items()
        for path in [(*above, name), *paths_in(inner, (*above, name))]
    ]


def parent(tree: Object, path: tuple[str, ...]) -> Object:
    for name in path[:-1]:
        tree = tree[name]
    return tree


@given(texts())
def test_every_member_is_where_it_is_said_to_be(text: bytes) -> None:
    spans = members(text)
    assert {name: json.loads(text[a:b]) for name, (a, b) in spans.items()} == json.loads(text)
    assert all(text[a:b] == text[a:b].strip() for a, b in spans.values())


@given(texts(), NAMES)
def test_only_the_wanted_members_are_looked_up(text: bytes, name: str) -> None:
    every = members(text)
    assert members(text, {name}) == {key: every[key] for key in every if key == name}


@given(texts(), st.data())
def test_a_value_is_found_and_replaced_at_any_depth(text: bytes, data: st.DataObject) -> None:
    tree = json.loads(text)
    assume(tree)
    path = data.draw(st.sampled_from(paths_in(tree)))
    found = value(text, path)
    assert found is not None
    assert json.loads(found) == parent(tree, path)[path[-1]]

    changed = replace(text, path, b'["new"]')
    parent(tree, path)[path[-1]] = ["new"]
    assert json.loads(changed) == tree
    assert replace(changed, path, found) == text


@given(texts(), st.data())
def test_members_are_inserted_before_the_closing_brace(text: bytes, data: st.DataObject) -> None:
    tree = json.loads(text)
    objects = [path for path in paths_in(tree) if isinstance(parent(tree, path)[path[-1]], dict)]
    path = data.draw(st.sampled_from([(), *objects]))
    changed = insert(text, path, b'"new one": 1,"new two":{}')
    target = parent(tree, path)[path[-1]] if path else tree
    comma = b"," if target else b""
    target.update({"new one": 1, "new two": {}})
    assert json.loads(changed) == tree
    assert changed.replace(comma + b'"new one": 1,"new two":{}', b"", 1) == text
    assert insert(text, path, b"") == text


@given(texts(), NAMES)
def test_a_member_is_set_once_whether_it_was_there_or_not(text: bytes, name: str) -> None:
    changed = set_member(text, (), name, b'"set"')
    assert json.loads(changed) == json.loads(text) | {name: "set"}
    assert len(members(changed)) == len(json.loads(text) | {name: ""})


@given(texts(), st.data())
def test_a_removed_member_takes_one_comma_with_it(text: bytes, data: st.DataObject) -> None:
    tree = json.loads(text)
    assume(tree)
    path = data.draw(st.sampled_from(paths_in(tree)))
    changed = remove(text, path)
    del parent(tree, path)[path[-1]]
    assert json.loads(changed) == tree
    assert list(json.loads(changed)) == list(tree)
    assert remove(changed, path) == changed


@given(texts(), st.data())
def test_any_members_are_removed_at_once_and_all_else_stays(
    text: bytes, data: st.DataObject
) -> None:
    tree = json.loads(text)
    names = data.draw(st.sets(st.sampled_from([*tree, "none"])))
    changed = without(text, names)
    left = {name: inner for name, inner in tree.items() if name not in names}
    assert json.loads(changed) == left
    assert [changed[slice(*span)] for span in members(changed).values()] == [
        text[slice(*span)] for name, span in members(text).items() if name in left
    ]
    one_by_one = text
    for name in names:
        one_by_one = remove(one_by_one, (name,))
    assert (changed == text) == names.isdisjoint(tree)
    assert json.loads(one_by_one) == left


def test_white_space_around_removed_members_goes_with_their_commas() -> None:
    text = b'{ "a" : 1 , "b" : 2 , "c" : 3 , "d" : 4 }'
    assert without(text, ("a", "b")) == b'{ "c" : 3 , "d" : 4 }'
    assert without(text, ("b", "d")) == b'{ "a" : 1 , "c" : 3 }'
    assert without(text, "abcd") == b"{  }"


def test_a_removed_member_must_not_stand_twice() -> None:
    text = b'{"a": 1, "b": 2, "a": 3}'
    assert without(text, "b") == b'{"a": 1, "a": 3}'
    with pytest.raises(DuplicateMemberError):
        without(text, "a")


@given(st.lists(st.tuples(NAMES, VALUES), max_size=5))
def test_a_member_that_stands_twice_is_refused(pairs: list[tuple[str, Any]]) -> None:
    text = "{" + ", ".join(f"{json.dumps(name)}: {json.dumps(v)}" for name, v in pairs) + "}"
    names = [name for name, _ in pairs]
    for name in names:
        if names.count(name) > 1:
            with pytest.raises(DuplicateMemberError) as caught:
                members(text.encode(), [name])
            assert caught.value.name == name
        else:
            start, end = members(text.encode(), [name])[name]
            assert json.loads(text.encode()[start:end]) == dict(pairs)[name]
    if len(set(names)) < len(names):
        with pytest.raises(DuplicateMemberError):
            members(text.encode())


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":1,"a":1}',
        b'{"a":1,"b":2,"a":1,"c":1}',
        b'{"a":1,"\\u0061":1}',
        b'{"a":1,"a":12}',
        b'{"a":12,"a":1}',
        b'{"a":12,"b":1,"a":1}',
        # The last value is as long as what hides it, and looks like the rest of the object.
        b'{"a":1,"b":"mmmm","a":{"k":0 ,"b":"zz"}}',
    ],
)
def test_two_values_of_one_name_are_noticed_whatever_they_look_like(text: bytes) -> None:
    for edit in (
        lambda: members(text),
        lambda: value(text, ("a",)),
        lambda: replace(text, ("a",), b"2"),
        lambda: set_member(text, (), "a", b"2"),
        lambda: remove(text, ("a",)),
    ):
        with pytest.raises(DuplicateMemberError, match="'a' stands twice"):
            edit()


def test_a_repetition_elsewhere_does_not_hinder_an_edit() -> None:
    text = b'{"x":1, "\\u0061" : 2 ,"x":"\xc3\xa9", "b":{"x":1,"x":2}}'
    assert members(text, ["a"]) == {"a": (19, 20)}
    assert value(text, ("a",)) == b"2"
    assert replace(text, ("a",), b"3") == text.replace(b" 2 ", b" 3 ")
    assert remove(text, ("a",)) == text.replace(b', "\\u0061" : 2', b"")
    assert remove(text, ("b",)) == text[: text.index(b', "b"')] + b"}"
    with pytest.raises(DuplicateMemberError):
        value(text, ("b", "x"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b"null",
        b'"a"',
        b'{"a":1',
        b'{"a":1}x',
        b'{"a":1,}',
        b'{"a":NaN}',
        b"{'a':1}",
        b'\xef\xbb\xbf{"a":1}',
        b'{"\xff":1}',
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
    ids=lambda text: text[:12].decode("latin-1"),
)
def test_what_is_not_one_json_object_is_a_value_error(text: bytes) -> None:
    for edit in (
        lambda: members(text),
        lambda: value(text, ("a",)),
        lambda: replace(text, ("a",), b"2"),
        lambda: insert(text, (), b'"b":1'),
        lambda: set_member(text, (), "a", b"2"),
        lambda: remove(text, ("a",)),
    ):
        with pytest.raises(ValueError, match="JSON"):
            edit()


def test_nesting_in_a_repeated_member_is_bounded_too() -> None:
    for depth in range(700, 1100):
        with pytest.raises(ValueError, match=r"stands twice|nested too deeply"):
            members(b'{"a":' + b"[" * depth + b"]" * depth + b',"a":1}')
    # Where the two parsers stop differs between versions of Python: ask the second one itself.
    with pytest.raises(ValueError, match="nested too deeply"):
        splice._walk_each(b'{"a":' + b"[" * 100_000)


def test_a_number_of_any_length_is_one_value() -> None:
    text = b'{"x":1,"a":' + b"9" * 5000 + b',"x":2}'
    assert value(text, ("a",)) == b"9" * 5000


def test_a_path_through_something_else_leads_nowhere() -> None:
    text = b'{"a":[{"b":1}],"c":null,"d":"{}"}'
    assert value(text, ("a", "b")) is None
    assert value(text, ("c", "b")) is None
    assert value(text, ("d", "b")) is None
    assert value(text, ("e", "b")) is None
    assert remove(text, ("a", "b")) == text
    assert remove(text, ("e", "b")) == text
    with pytest.raises(ValueError, match=r"no member e\.b"):
        replace(text, ("e", "b"), b"1")
    with pytest.raises(ValueError, match="no member e"):
        insert(text, ("e",), b'"b":1')
    with pytest.raises(ValueError, match="not the text of a JSON object"):
        insert(text, ("a",), b'"b":1')


def test_white_space_around_an_edit_stays() -> None:
    text = b' { "a" : 1 , "b" : { } } \n'
    assert replace(text, ("a",), b"[]") == b' { "a" : [] , "b" : { } } \n'
    assert insert(text, ("b",), b'"c":1') == b' { "a" : 1 , "b" : { "c":1} } \n'
    assert insert(text, (), b'"c":1') == b' { "a" : 1 , "b" : { } ,"c":1} \n'
    assert remove(text, ("a",)) == b' { "b" : { } } \n'
    assert remove(text, ("b",)) == b' { "a" : 1 } \n'
    assert remove(b'{ "a" : 1 }', ("a",)) == b"{  }"


def test_half_an_emoji_keeps_its_place() -> None:
    text = rb'{"a":"\ud83d","\ude00":1,"b":"\ud83d\ude00","c":2}'
    assert value(text, ("a",)) == rb'"\ud83d"'
    assert value(text, ("\ufffd",)) == b"1"
    assert replace(text, ("c",), b"3") == text.replace(b"2}", b"3}")
    assert insert(text, (), b'"d":4') == text[:-1] + b',"d":4}'


@pytest.mark.parametrize("again", [b"", b',"0":1'])
def test_an_object_of_many_members_is_not_walked(again: bytes) -> None:
    inner = b'{"":1' + b"".join(b',"%d":1' % index for index in range(10)) + again + b"}"
    assert len(members(inner, ("",), most=12)) == 1
    with pytest.raises(ValueError, match="too many members"):
        members(inner, ("",), most=10)
