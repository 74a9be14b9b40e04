"""The pure half of relaying a plain answer."""

from tests.layers.streams import USAGE, compact
from veneer.edits import Edits
from veneer.layers._body import BodyRelay, is_json

BODY = compact({"model": "small", "usage": USAGE})


START = {"type": "http.response.start", "status": 200, "headers": []}


def relay_of(*, limit: int = 1000, edits: Edits | None = None) -> BodyRelay:
    return BodyRelay(edits or Edits(), START, limit=limit)


def test_a_body_is_whole_again_and_its_usage_read() -> None:
    relay = relay_of()
    assert relay.take(BODY[:7], more=True) is None
    assert relay.take(b"", more=True) is None
    assert relay.take(BODY[7:], more=False) == BODY
    assert relay.observed
    assert not relay.edited
    assert relay.usage is not None
    assert relay.usage.total_tokens == 8


def test_a_body_is_edited() -> None:
    edits = Edits()
    edits.show_model("big")
    relay = relay_of(edits=edits)
    assert relay.take(BODY, more=False) == BODY.replace(b"small", b"big")
    assert relay.edited


def test_a_body_over_the_limit_is_given_back_as_it_came() -> None:
    relay = relay_of(limit=len(BODY))
    assert relay.take(BODY, more=True) is None
    assert not relay.overflowed
    assert relay.take(b"x", more=True) == BODY + b"x"
    assert relay.overflowed


def test_of_a_body_over_the_limit_the_end_is_read() -> None:
    edits = Edits()
    relay = relay_of(limit=5, edits=edits)
    assert relay.take(b'{"data":[', more=True) == b'{"data":['
    for part in (b"1" * 100, b'],"service_', b'tier":"flex",', BODY[1:-3]):
        assert relay.take(part, more=True) == part
    assert relay.take(BODY[-3:], more=False) == BODY[-3:]
    assert relay.usage is not None
    assert relay.usage.total_tokens == 8
    assert edits.answered is not None
    assert (edits.answered.model, edits.answered.service_tier) == ("small", "flex")
    assert not relay.observed


def test_what_is_no_json_is_not_observed() -> None:
    edits = Edits()
    edits.show_model("big")
    relay = relay_of(edits=edits)
    assert relay.take(b"<html>", more=False) == b"<html>"
    assert not relay.observed
    assert not relay.edited


def test_json_is_told_from_what_is_not() -> None:
    assert is_json(b' {"a": [1]} ')
    assert not any(map(is_json, (b"", b"{", b'{"a":1}x', b"[" * 100_000, b"\xff")))
