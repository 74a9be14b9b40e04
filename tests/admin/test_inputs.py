"""Inputs of the admin API: whatever arrives is a record or a clean refusal."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Exchange, http_scope
from veneer import facts
from veneer.admin.inputs import MAX_BODY, MAX_SHOWN, read_object, read_query, shown
from veneer.client import Client, ClientDisconnectedError
from veneer.dialects import Kind
from veneer.errors import Error


class Example(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the bodies below are read as."""

    name: str = "none"
    count: int = 0
    pairs: dict[str, str] = {}


async def read(body: bytes, *headers: tuple[bytes, bytes]) -> Example | Error:
    exchange = Exchange(http_scope(headers=headers), [body])
    return await read_object(exchange.scope, exchange.receive, Example)


async def refused(body: bytes, *headers: tuple[bytes, bytes]) -> tuple[Kind, str | None]:
    error = await read(body, *headers)
    assert isinstance(error, Error)
    assert len(error.message) < 300
    assert error.message.isprintable()
    return error.kind, error.param


async def test_an_object_is_read_and_no_body_is_an_empty_one() -> None:
    json_type = (b"content-type", b"application/json; charset=utf-8")
    assert await read(b'{"name": "n", "count": 2, "pairs": {"a": "b"}}', json_type) == Example(
        "n", 2, {"a": "b"}
    )
    assert await read(b"") == Example()


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (b"nonsense", Kind.INVALID_JSON, None),
        (b"[]", Kind.INVALID_JSON, None),
        (b"null", Kind.INVALID_JSON, None),
        (b"{} {}", Kind.INVALID_JSON, None),
        (b'{"name": "\xff"}', Kind.INVALID_JSON, None),
        (b'{"name": NaN}', Kind.INVALID_JSON, None),
        (b'{"name": "\\ud800"}', Kind.INVALID_JSON, None),
        (b"\xef\xbb\xbf{}", Kind.INVALID_JSON, None),
        (b'{"name":' * 8000, Kind.INVALID_JSON, None),
        (b'{"name":' + b"[" * 30000 + b"]" * 30000 + b"}", Kind.INVALID_JSON, None),
        (b'{"name": "a", "name": "b"}', Kind.INVALID_JSON, "name"),
        (b'{"name": "a", "n\\u0061me": "b"}', Kind.INVALID_JSON, "name"),
        (b'{"pairs": {"a": "1", "a": "2"}}', Kind.INVALID_JSON, "a"),
        (b'{"other": 1}', Kind.UNSUPPORTED_PARAMETER, "other"),
        (b'{"x\\u0000": 1}', Kind.UNSUPPORTED_PARAMETER, "x\\x00"),
        (b'{"name": 1}', Kind.INVALID_TYPE, "name"),
        (b'{"count": "1"}', Kind.INVALID_TYPE, "count"),
        (b'{"count": true}', Kind.INVALID_TYPE, "count"),
        (b'{"pairs": {"a": 1}}', Kind.INVALID_TYPE, "pairs"),
        (b'{"pairs": [1]}', Kind.INVALID_TYPE, "pairs"),
    ],
)
async def test_what_is_no_such_object_is_refused(body: bytes, kind: Kind, param: str) -> None:
    assert await refused(body) == (kind, param)


async def test_a_long_unknown_name_is_not_repeated_whole() -> None:
    _, param = await refused(json.dumps({"x" * 60000: 1}).encode())
    assert param == "x" * MAX_SHOWN


async def test_a_number_without_end_is_refused() -> None:
    assert await refused(b'{"count": ' + b"9" * 60000 + b"}") == (Kind.INVALID_VALUE, "count")


async def test_a_member_that_is_missing_is_named() -> None:
    class Needy(msgspec.Struct):
        name: str

    exchange = Exchange(http_scope(), [b"{}"])
    error = await read_object(exchange.scope, exchange.receive, Needy)
    assert isinstance(error, Error)
    assert (error.kind, error.param) == (Kind.INVALID_VALUE, "name")


async def test_a_body_has_a_bound() -> None:
    fits = b'{"name": "%b"}' % (b"x" * (MAX_BODY - 12))
    assert len(fits) == MAX_BODY
    assert isinstance(await read(fits), Example)
    assert await refused(fits + b" ") == (Kind.BODY_TOO_LARGE, None)


@pytest.mark.parametrize(
    "field",
    [
        (b"content-type", b"text/plain"),
        (b"content-type", b"application/x-www-form-urlencoded"),
        (b"content-encoding", b"gzip"),
    ],
)
async def test_what_is_not_sent_as_json_is_refused(field: tuple[bytes, bytes]) -> None:
    assert (await refused(b"{}", field))[0] is Kind.UNSUPPORTED_MEDIA_TYPE


async def test_a_body_that_stops_arriving_is_given_up() -> None:
    exchange = Exchange(http_scope(), [])
    facts.put(exchange.scope, Client(exchange.receive, idle_timeout=0.01))
    error = await read_object(exchange.scope, exchange.receive, Example)
    assert isinstance(error, Error)
    assert error.kind is Kind.REQUEST_TIMEOUT


async def test_a_client_that_leaves_gets_no_answer() -> None:
    exchange = Exchange(http_scope(), [])
    exchange.disconnect.set()
    with pytest.raises(ClientDisconnectedError):
        await read_object(exchange.scope, exchange.receive, Example)


@given(
    st.binary(max_size=200)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
async def test_any_bytes_are_a_record_or_refused(body: bytes) -> None:
    read_as = await read(body)
    assert isinstance(read_as, Example | Error)
    if isinstance(read_as, Error):
        exchange = await Exchange(http_scope()).run(read_as)
        assert exchange.status == 400


def query(text: bytes, *names: str) -> Any:
    return read_query(http_scope("GET", query_string=text), names)


def test_parameters_are_decoded() -> None:
    assert query(b"", "a") == {}
    assert query(b"a=%C3%A9+x&b=", "a", "b") == {"a": "é x", "b": ""}


@pytest.mark.parametrize(
    ("text", "param"),
    [
        (b"c=1", "c"),
        (b"a=1&a=2", "a"),
        (b"a=1&a=2&b=3", None),
        (b"a=%FF", None),
        (b"a=\xff", None),
        (b"%00=1", "\\x00"),
    ],
)
def test_a_query_that_says_something_else_is_refused(text: bytes, param: str | None) -> None:
    error = query(text, "a", "b")
    assert isinstance(error, Error)
    assert error.param == param


def test_what_is_shown_is_short_and_obeyed_by_no_terminal() -> None:
    assert shown("key_1") == "key_1"
    assert shown("a\nb\x1b") == "a\\nb\\x1b"
    assert shown("x" * 500) == "x" * MAX_SHOWN
