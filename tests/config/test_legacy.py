"""`[[dialect.legacy]]`: where routes have moved."""

from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope
from veneer import ConfigurationError, Stack
from veneer.config import build, parse

OLD = {"from": "/v1/old", "to": "/v1/new", "sunset": "2027-01-01"}


def built(*legacy: dict[str, Any]) -> Stack:
    return build(parse({"dialect": {"name": "aurous", "legacy": list(legacy)}}), Responder(b"{}"))


async def test_a_route_that_has_moved_sends_on() -> None:
    answer = await Exchange(http_scope("POST", "/v1/old")).run(built(OLD))
    assert (answer.status, answer.header("location")) == (308, "/v1/new")
    assert answer.header("aurous-deprecated") == "route"
    assert answer.header("sunset") == "Fri, 01 Jan 2027 00:00:00 GMT"
    assert answer.header("aurous-request-id")


@pytest.mark.parametrize(
    ("legacy", "words"),
    [
        ([OLD, OLD], "has two that are from '/v1/old'"),
        ([{**OLD, "to": "//evil.test"}], "[dialect] '//evil.test' is no path"),
        ([{"to": "/v1/new"}], "[[dialect.legacy]] number 1 needs 'from'"),
        ([{**OLD, "form": 1}], "has no 'form'; did you mean 'from'?"),
        ([{**OLD, "sunset": "soon"}], "a date such as 2026-01-31"),
    ],
)
def test_what_cannot_be_is_refused(legacy: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        built(*legacy)
    assert words in str(caught.value)
