"""What layers may say about the answer before it comes."""

from typing import Any

from veneer import facts
from veneer.edits import Edits, edits_of, members_of
from veneer.facts import Usage


def test_all_layers_of_a_call_share_its_edits() -> None:
    scope: dict[str, Any] = {facts.SCOPE_KEY: {}}
    edits_of(scope).usage_wanted = True
    assert edits_of({**scope}).usage_wanted
    assert not edits_of({facts.SCOPE_KEY: {}}).usage_wanted


def test_a_body_changes_only_by_what_shows_in_it() -> None:
    edits = Edits()
    edits.usage_wanted = edits.usage_shown = True
    assert not edits.changes_body
    edits.show_model("x")
    assert edits.changes_body


def test_a_model_is_shown_as_json() -> None:
    edits = Edits()
    edits.show_model('a"b\u00e9')
    assert edits.model == b'"a\\"b\xc3\xa9"'


def test_members_are_joined_and_those_who_have_none_leave_no_comma() -> None:
    edits = Edits()
    edits.in_usage += [
        lambda usage: b'"a":%d' % usage.total_tokens,
        lambda _: b"",
        lambda _: b'"b":2',
    ]
    edits.at_end += [lambda usage: b"" if usage is None else b'"c":3']
    assert members_of(edits.in_usage, Usage(total_tokens=7)) == b'"a":7,"b":2'
    assert members_of(edits.at_end, None) == b""
    assert members_of(edits.at_end, Usage()) == b'"c":3'
