"""The call: read once, leniently, and never in two ways."""

import asyncio
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Receive

from tests.asgi import http_scope, json_request, read_body
from tests.calls import call_of, refused
from veneer import facts, lookout
from veneer.call import MAX_MODEL_NAME, Call, read_call
from veneer.client import Client, ClientDisconnectedError, client_of
from veneer.counts import MAX_COUNT
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.operations import FIXED
from veneer.wire import splice

DEEP = 100_000


async def test_a_call_is_read_from_its_body() -> None:
    body = {
        "model": "gpt",
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": 5.0,
        "messages": [],
    }
    assert await call_of(body) == Call(
        FIXED["chat/completions"],
        model="gpt",
        stream=True,
        include_usage=True,
        input_bytes=2,
        output_cap=5,
    )


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, (None, False, None)),
        ({"model": None, "stream": None, "stream_options": None}, (None, False, None)),
        ({"model": "", "stream": False, "stream_options": {}}, ("", False, None)),
        ({"model": "é/ü:1", "stream_options": {"include_usage": False}}, ("é/ü:1", False, False)),
        ({"stream_options": []}, (None, False, None)),
        ({"stream_options": {"include_usage": 1}}, (None, False, None)),
        (b' \r\n{"mod\\u0065l":"a"}\t', ("a", False, None)),
    ],
)
async def test_what_need_not_be_judged_is_not(body: Any, expected: Any) -> None:
    call = await call_of(body)
    assert isinstance(call, Call)
    assert (call.model, call.stream, call.include_usage) == expected


async def test_the_body_is_read_once_and_stays_for_those_below() -> None:
    exchange = json_request(b'{ "model" : "a" }')
    call = await read_call(exchange.scope, exchange.receive)
    assert await read_call(exchange.scope, exchange.receive) is call
    assert facts.get(exchange.scope, Call) is call
    assert await read_body(client_of(exchange.scope, exchange.receive).receive) == (
        b'{ "model" : "a" }'
    )


async def test_an_error_is_not_taken_for_a_call() -> None:
    exchange = json_request(b"[]")
    for _ in range(2):
        assert isinstance(await read_call(exchange.scope, exchange.receive), Error)


@pytest.mark.parametrize(
    ("body", "kind", "param"),
    [
        (b"", Kind.INVALID_JSON, None),
        (b" ", Kind.INVALID_JSON, None),
        (b"[]", Kind.INVALID_JSON, None),
        (b"null", Kind.INVALID_JSON, None),
        (b'"model"', Kind.INVALID_JSON, None),
        (b"{} {}", Kind.INVALID_JSON, None),
        (b"{}x", Kind.INVALID_JSON, None),
        (b'{"model":}', Kind.INVALID_JSON, None),
        (b'{"model":"a",}', Kind.INVALID_JSON, None),
        (b'{"x":NaN}', Kind.INVALID_JSON, None),
        (b'{"x":"\n"}', Kind.INVALID_JSON, None),
        (b"{'model':'a'}", Kind.INVALID_JSON, None),
        (b'\xef\xbb\xbf{"model":"a"}', Kind.INVALID_JSON, None),
        (json.dumps({"model": "a"}).encode("utf-16"), Kind.INVALID_JSON, None),
        (b'{"x":"\xff"}', Kind.INVALID_JSON, None),
        (b'{"model":"\xed\xa0\x80"}', Kind.INVALID_JSON, None),
        (b'{"model":"\\ud800"}', Kind.INVALID_JSON, None),
        (b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"}", Kind.INVALID_JSON, None),
        (b'{"x":' * DEEP + b"1" + b"}" * DEEP, Kind.INVALID_JSON, None),
        (b'{"stream_options":' + b"[" * DEEP + b"]" * DEEP + b"}", Kind.INVALID_JSON, None),
        (b"[" * DEEP, Kind.INVALID_JSON, None),
        (b'{"model":"a","model":"b"}', Kind.INVALID_JSON, "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', Kind.INVALID_JSON, "model"),
        (b'{"m\\u006fdel":"a","mod\\u0065l":"b"}', Kind.INVALID_JSON, "model"),
        (b'{"stream":true,"x":{"stream":1},"stream":false}', Kind.INVALID_JSON, "stream"),
        (
            b'{"stream_options":{"include_usage":true,"include_usage":false}}',
            Kind.INVALID_JSON,
            "include_usage",
        ),
        (
            b'{"stream_options":{"include_usage":true,"\\u0069nclude_usage":false}}',
            Kind.INVALID_JSON,
            "include_usage",
        ),
        (b'{"model":5}', Kind.INVALID_TYPE, "model"),
        (b'{"model":["a"]}', Kind.INVALID_TYPE, "model"),
        (b'{"model":{"a":1}}', Kind.INVALID_TYPE, "model"),
        (b'{"model":"a\\u0000"}', Kind.INVALID_VALUE, "model"),
        (b'{"model":"a\\r\\nx: y"}', Kind.INVALID_VALUE, "model"),
        (b'{"model":"a\\u001b[31m"}', Kind.INVALID_VALUE, "model"),
        (b'{"model":"a\\u202e"}', Kind.INVALID_VALUE, "model"),
        (b'{"stream":1}', Kind.INVALID_TYPE, "stream"),
        (b'{"stream":0}', Kind.INVALID_TYPE, "stream"),
        (b'{"stream":"true"}', Kind.INVALID_TYPE, "stream"),
        (b'{"stream":[]}', Kind.INVALID_TYPE, "stream"),
    ],
)  # fmt: skip
async def test_a_body_that_cannot_be_read_one_way_is_refused(
    body: bytes, kind: Kind, param: str | None
) -> None:
    error = await refused(body)
    assert (error.kind, error.param) == (kind, param)


async def test_members_may_repeat_where_they_are_not_ours_to_read() -> None:
    body = b'{"model":"a","x":1,"x":2,"messages":[{"model":"b","stream":1},{"model":"c"}]}'
    assert isinstance(await call_of(body), Call)
    body = b'{"model":"a","prompt":"\\"model\\": \\u0041 \\"model\\""}'
    assert isinstance(await call_of(body), Call)


@pytest.mark.parametrize("again", [b"", b',"a0":1'])
async def test_a_body_that_would_be_walked_for_long_is_refused(again: bytes) -> None:
    def body(count: int) -> bytes:
        some = b",".join(b'"a%d":1' % index for index in range(count - 1))
        return b'{"mod\\u0065l":"m",' + some + again + b"}"

    assert isinstance(await call_of(body(splice.MAX_MEMBERS - 1)), Call)
    error = await refused(body(splice.MAX_MEMBERS + 1))
    assert (error.kind, "too many members" in error.message) == (Kind.INVALID_JSON, True)


async def test_a_model_has_a_name_and_not_a_novel() -> None:
    assert isinstance(await call_of({"model": "a" * MAX_MODEL_NAME}), Call)
    error = await refused({"model": "a" * (MAX_MODEL_NAME + 1)})
    assert (error.kind, error.param) == (Kind.INVALID_VALUE, "model")


@pytest.mark.parametrize("coding", [b"gzip", b"br", b"GZIP", b"identity, gzip", b" deflate "])
async def test_a_coded_body_is_refused(coding: bytes) -> None:
    error = await refused(b"{}", headers=[(b"content-encoding", coding)])
    assert error.kind is Kind.UNSUPPORTED_MEDIA_TYPE
    assert isinstance(await call_of(b"{}", headers=[(b"content-encoding", b"Identity")]), Call)


@pytest.mark.parametrize(
    ("kind", "fine"),
    [
        (b"application/json", True),
        (b"Application/JSON; charset=utf-8", True),
        (b"application/vnd.x+json", True),
        (b"text/plain", False),
        (b"multipart/form-data; boundary=x", False),
        (b"application/x-www-form-urlencoded", False),
        (b"application/jsonx", False),
        (b"", False),
    ],
)
async def test_json_says_that_it_is(kind: bytes, fine: bool) -> None:  # noqa: FBT001 - a table
    exchange = json_request(b"{}")
    exchange.scope["headers"] = [(b"content-type", kind)]
    call = await read_call(exchange.scope, exchange.receive)
    if fine:
        assert isinstance(call, Call)
    else:
        assert isinstance(call, Error)
        assert call.kind is Kind.UNSUPPORTED_MEDIA_TYPE


async def test_a_body_without_a_type_is_taken_for_json() -> None:
    exchange = json_request(b"{}")
    exchange.scope["headers"] = []
    assert isinstance(await read_call(exchange.scope, exchange.receive), Call)


@pytest.mark.parametrize("length", [b"11", b"0011", b"9" * 30, b"9" * 5000])
async def test_a_body_announced_beyond_the_limit_is_not_even_read(length: bytes) -> None:
    async def receive() -> Any:
        pytest.fail("there is no need to read it")

    scope = http_scope(headers=[(b"content-length", length)])
    error = await read_call(scope, receive, max_body=10)
    assert isinstance(error, Error)
    assert error.kind is Kind.BODY_TOO_LARGE
    assert error.headers == ((b"connection", b"close"),)


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"x")], [(b"content-length", b"1")]])
async def test_a_body_beyond_the_limit_is_not_read_to_its_end(
    headers: list[tuple[bytes, bytes]],
) -> None:
    reads = 0

    async def receive() -> Any:
        nonlocal reads
        reads += 1
        return {"type": "http.request", "body": b" " * 1024 * 1024, "more_body": True}

    error = await read_call(http_scope(headers=headers), receive, max_body=4 * 1024 * 1024)
    assert isinstance(error, Error)
    assert error.kind is Kind.BODY_TOO_LARGE
    assert reads == 5


async def test_fifty_megabytes_are_too_many_by_default() -> None:
    error = await refused(b'{"x":"' + b"x" * 50_000_000 + b'"}')
    assert error.kind is Kind.BODY_TOO_LARGE


async def test_a_body_of_the_limit_is_read() -> None:
    assert isinstance(await call_of(b"{}", max_body=2), Call)


async def test_a_body_that_stalls_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lookout, "WATCH_AFTER", 0.001)
    scope = http_scope()

    async def receive() -> Any:
        await asyncio.Event().wait()

    client = Client(receive, idle_timeout=0.01)
    facts.put(scope, client)
    error = await read_call(scope, client.receive)
    assert isinstance(error, Error)
    assert error.kind is Kind.REQUEST_TIMEOUT


async def test_a_client_that_leaves_is_not_answered() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(ClientDisconnectedError):
        await read_call(http_scope(), receive)


async def test_what_images_and_speech_are_made_from_is_counted() -> None:
    image = await call_of({"prompt": "hi", "n": 3, "model": "x"}, "/v1/images/generations")
    speech = await call_of({"input": "hello", "model": "x"}, "/v1/audio/speech")
    assert isinstance(image, Call)
    assert isinstance(speech, Call)
    assert (image.input_bytes, image.choices) == (4, 3)
    assert (speech.input_bytes, speech.choices) == (7, 1)


@pytest.mark.parametrize("path", ["/v1/images/edits", "/v1/audio/transcriptions", "/v1/models"])
async def test_uploads_are_not_read(path: str) -> None:
    async def receive() -> Any:
        pytest.fail("it is passed on unread")

    scope = http_scope("POST", path, [(b"content-type", b"multipart/form-data")])
    read: Receive = receive
    assert isinstance(await read_call(scope, read), Call)


async def test_a_path_that_is_no_operation_is_no_call() -> None:
    assert (await refused(b"{}", "/nowhere")).kind is Kind.UNKNOWN_URL


JSON = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["model", "stream", "input", "type", "id", "role", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(
        st.sampled_from(["messages", "max_tokens", "n", "input", "prompt", "best_of", "model"]),
        JSON | st.integers() | st.text("m", max_size=3),
        max_size=5,
    ),
    st.sampled_from(["chat/completions", "completions", "responses", "embeddings"]),
)
def test_what_an_estimate_needs_is_sound_and_the_body_goes_on_as_it_came(
    body: dict[str, Any], path: str
) -> None:
    exchange = json_request(body, f"/v1/{path}")
    sent = json.dumps(body).encode()

    async def read() -> tuple[Call | Error, bytes]:
        call = await read_call(exchange.scope, exchange.receive)
        return call, await read_body(client_of(exchange.scope, exchange.receive).receive)

    call, passed = asyncio.run(read())
    assert passed == sent
    if isinstance(call, Call):
        assert 0 <= call.input_bytes < len(sent)
        assert call.output_cap is None or 1 <= call.output_cap <= MAX_COUNT
        assert call.choices >= 1


@given(JSON | st.binary(max_size=30), st.sampled_from(["/v1/responses", "/v1/embeddings"]))
def test_no_body_is_too_odd_to_be_judged(body: Any, path: str) -> None:
    judged = asyncio.run(call_of(body, path))
    if isinstance(judged, Call):
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        assert isinstance(msgspec.json.decode(data), dict)
    else:
        assert judged.message.isprintable()


@pytest.mark.parametrize(
    ("member", "param"),
    [
        (b'"stream_options":[' + b"[]," * 2_000_000 + b"[]]", "stream_options"),
        (b'"stream_options":{"x":"' + b"y" * 5000 + b'"}', "stream_options"),
        (b'"model":"' + b"m" * 5000 + b'"', "model"),
        (b'"stream":[' + b"[]," * 2000 + b"[]]", "stream"),
    ],
    ids=["list", "options", "model", "stream"],
)
async def test_a_member_too_long_to_be_what_it_is_called_is_refused_unread(
    member: bytes, param: str
) -> None:
    exchange = json_request(b"{" + member + b"}")
    refusal = await read_call(exchange.scope, exchange.receive)
    assert isinstance(refusal, Error)
    assert refusal.param == param
