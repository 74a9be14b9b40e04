"""Edits of the objects in an answer."""

import json

import pytest

from veneer.edits import Edits
from veneer.facts import Usage
from veneer.layers._edited import edited, named, with_usage, without_usage

USAGE = Usage(total_tokens=8)


def receipt() -> Edits:
    edits = Edits()
    edits.show_model("m")
    edits.in_usage.append(lambda usage: b'"cost":%d' % usage.total_tokens)
    edits.at_end.append(lambda _: b'"end":1')
    return edits


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b'{"usage":{}}', b'{"usage":{"cost":8},"end":1}'),
        (b'{"usage":{"a":1} }', b'{"usage":{"a":1,"cost":8} ,"end":1}'),
        (b'{"model": "x","usage":null}', b'{"model": "m","usage":null,"end":1}'),
        (b"{}", b'{"end":1}'),
        (b"[]", b"[]"),
        (b"{", b"{"),
        (b'"x"', b'"x"'),
    ],
)
def test_an_object_gets_its_edits_where_it_has_room_for_them(data: bytes, result: bytes) -> None:
    assert edited(data, receipt(), USAGE) == result


def test_an_object_in_another_is_found_by_its_path() -> None:
    data = b'{"response":{"model":"x","usage":{}},"model":"y"}'
    expected = b'{"response":{"model":"m","usage":{"cost":8},"end":1},"model":"y"}'
    assert edited(data, receipt(), USAGE, ("response",)) == expected
    assert edited(b'{"response":null}', receipt(), USAGE, ("response",)) == b'{"response":null}'


@pytest.mark.parametrize(
    ("data", "raw"),
    [
        (b'{"usage":{}}', b"{}"),
        (b'{"usage":{ }, "a":1}', b"{ }"),
        (b'{"usage":{"b":1}}', b'{"b":1}'),
        (b'{"usage":{ "b" : 1 } , "a":[]}', b'{ "b" : 1 }'),
        (b'{"usage":{"b":1},"x":{"b":1}}', b'{"b":1}'),
        (b'{"x":{"b":1},"usage":{"b":1}}', b'{"b":1}'),
        (b'{"usage":null}', b'{"b":1}'),
        (b'{"x":"{\\"b\\":1}","usage":{"b":1}}', b'{"b":1}'),
    ],
)
def test_it_is_the_same_where_the_text_of_the_usage_is_known(data: bytes, raw: bytes) -> None:
    found = edited(data, receipt(), USAGE, raw=raw)
    assert json.loads(found) == json.loads(edited(data, receipt(), USAGE))
    usage = json.loads(data)["usage"]
    assert json.loads(found)["usage"] == (usage if usage is None else {**usage, "cost": 8})


@pytest.mark.parametrize("usage", [b"null", b'"lots"', b"[]"])
def test_a_usage_of_ours_takes_the_place_of_what_is_none(usage: bytes) -> None:
    edits = receipt()
    edits.at_end.append(lambda given: b"" if given else b'"usage":{"a":1}')
    data = b'{"usage":%b,"b":2}' % usage
    assert edited(data, edits, None) == b'{"b":2,"end":1,"usage":{"a":1}}'
    assert edited(data, receipt(), None) == data[:-1] + b',"end":1}'


def test_without_edits_text_stays() -> None:
    assert edited(b' {"a" : 1}', Edits(), None) == b' {"a" : 1}'
    assert named(b'{"model":"x"}', b'"x"') == b'{"model":"x"}'


def test_usage_takes_the_place_of_null_or_a_new_one() -> None:
    assert with_usage(b'{"usage":null}', b"{}") == b'{"usage":{}}'
    assert with_usage(b'{"a":1}', b"{}") == b'{"a":1,"usage":{}}'
    assert with_usage(b"[]", b"{}") == b"[]"


@pytest.mark.parametrize(
    ("data", "result"),
    [
        (b'{"a":1,"usage":null}', b'{"a":1}'),
        (b'{"usage": null, "a":1}', b'{"a":1}'),
        (b'{"usage":{"b":1}}', b'{"usage":{"b":1}}'),
        (b'{"x":"usage","usage', b'{"x":"usage","usage'),
    ],
)
def test_only_a_null_usage_is_taken_out(data: bytes, result: bytes) -> None:
    assert without_usage(b"data: " + data + b"\n\n", data) == b"data: " + result + b"\n\n"
