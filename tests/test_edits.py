"""Edits: what layers want changed in an answer."""

from tests.asgi import http_scope
from veneer.edits import Edits, edits_of
from veneer.facts import Usage


def test_the_first_to_ask_makes_the_edits_of_a_call() -> None:
    scope = http_scope()
    edits = edits_of(scope)

    assert edits_of({**scope}) is edits
    assert edits_of(http_scope()) is not edits


def test_without_edits_an_answer_stays_as_it_is() -> None:
    edits = Edits()
    assert not edits.changes_body
    edits.usage_wanted = edits.usage_shown = True
    assert not edits.changes_body


def test_a_model_is_shown_as_json() -> None:
    edits = Edits()
    edits.show_model('a"b/ü')

    assert edits.model == '"a\\"b/ü"'.encode()
    assert edits.changes_body


def test_members_of_several_layers_are_joined() -> None:
    edits = Edits()
    assert edits.usage_members(Usage()) == b""
    edits.in_usage.append(lambda usage: b'"cost":%d' % usage.input_tokens)
    edits.in_usage.append(lambda _usage: b"")
    edits.in_usage.append(lambda _usage: b'"b":2')

    assert edits.usage_members(Usage(input_tokens=7)) == b'"cost":7,"b":2'
    assert edits.changes_body


def test_the_end_may_come_without_usage() -> None:
    edits = Edits()
    edits.at_end.append(lambda usage: b"" if usage is None else b'"a":1')

    assert edits.end_members(None) == b""
    assert edits.end_members(Usage()) == b'"a":1'
    assert edits.changes_body
