"""The pure half of relaying a plain answer."""

from tests.layers.streams import USAGE, compact
from veneer.edits import Edits
from veneer.layers._body import BodyRelay, is_json

BODY = compact({"model": "small", "usage": USAGE})


def relay_of(*parts: bytes, limit: int = 1000, edits: Edits | None = None) -> BodyRelay:
    relay = BodyRelay(edits or Edits(), limit=limit)
    for part in parts:
        relay.feed(part)
    return relay


def test_a_body_is_whole_again_and_its_usage_read() -> None:
    relay = relay_of(BODY[:7], b"", BODY[7:])
    assert relay.close() == BODY
    assert relay.observed
    assert not relay.edited
    assert relay.usage is not None
    assert relay.usage.total_tokens == 8


def test_a_body_is_edited() -> None:
    edits = Edits()
    edits.show_model("big")
    relay = relay_of(BODY, edits=edits)
    assert relay.close() == BODY.replace(b"small", b"big")
    assert relay.edited


def test_a_body_over_the_limit_is_given_back_as_it_came() -> None:
    relay = relay_of(BODY, b"x", limit=len(BODY))
    assert relay.overflowed
    assert relay.give_up() == BODY + b"x"
    assert not relay_of(BODY, limit=len(BODY)).overflowed


def test_of_a_body_over_the_limit_the_end_is_read() -> None:
    edits = Edits()
    relay = relay_of(b'{"data":[', limit=5, edits=edits)
    assert relay.give_up() == b'{"data":['
    for part in (b"1" * 100, b'],"service_', b'tier":"flex",', BODY[1:-3], BODY[-3:]):
        relay.pass_by(part)
    relay.pass_end()
    assert relay.usage is not None
    assert relay.usage.total_tokens == 8
    assert edits.answered is not None
    assert (edits.answered.model, edits.answered.service_tier) == ("small", "flex")
    assert not relay.observed


def test_what_is_no_json_is_not_observed() -> None:
    edits = Edits()
    edits.show_model("big")
    relay = relay_of(b"<html>", edits=edits)
    assert relay.close() == b"<html>"
    assert not relay.observed
    assert not relay.edited


def test_json_is_told_from_what_is_not() -> None:
    assert is_json(b' {"a": [1]} ')
    assert not any(map(is_json, (b"", b"{", b'{"a":1}x', b"[" * 100_000, b"\xff")))
