"""The relay as a layer: what its client sees, and which facts are there when."""

import asyncio
import gc
import gzip
import json
import weakref
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from tests.asgi import Exchange, http_scope, json_request, running
from tests.layers.probe import JSON, SSE, Probe, Script, call, stack, upload
from tests.layers.streams import (
    CHAT,
    CHAT_WITH_USAGE,
    DONE,
    RESPONSES,
    RESPONSES_USAGE,
    USAGE,
    chunk,
    compact,
    cut,
    event,
    members,
    usage_chunk,
)
from veneer.client import ClientDisconnectedError
from veneer.edits import Edits
from veneer.errors import BrokenResponseError
from veneer.facts import Relayed, Usage
from veneer.layers.relay import RelayMiddleware

BODY = compact({"id": "x", "model": "small", "choices": [], "usage": USAGE})
EIGHT = Usage(input_tokens=5, output_tokens=3, total_tokens=8)


def want_usage(edits: Edits) -> None:
    edits.usage_wanted = True


def show_receipt(edits: Edits) -> None:
    edits.usage_shown = True
    edits.show_model("shown")
    edits.in_usage.append(lambda usage: b'"cost":%d' % usage.total_tokens)
    edits.at_end.append(lambda usage: b'"receipt":%s' % (b"null" if usage is None else b'"r"'))


def is_gateway_error(exchange: Exchange, code: str) -> bool:
    error = exchange.json()["error"]
    return exchange.ended and exchange.status == 502 and error["code"] == code


# Plain answers.


async def test_a_plain_answer_passes_as_it_is() -> None:
    headers = [*JSON, (b"content-length", b"%d" % len(BODY)), (b"etag", b'"x"')]
    probe = stack(Script(BODY[:10], BODY[10:], headers=headers))
    exchange = await call().run(probe)
    assert exchange.body == BODY
    assert exchange.headers == headers
    assert probe.before_the_last == (EIGHT, Relayed(stream=False, observed=True, complete=True))


async def test_a_plain_answer_is_edited_and_measured_anew() -> None:
    headers = [*JSON, (b"content-length", b"%d" % len(BODY)), (b"etag", b'"x"')]
    exchange = await call().run(stack(Script(BODY, headers=headers), show_receipt))
    answer = exchange.json()
    assert answer["model"] == "shown"
    assert answer["usage"] == {**USAGE, "cost": 8}
    assert answer["receipt"] == "r"
    assert exchange.header("content-length") == str(len(exchange.body))
    assert exchange.header("etag") is None


async def test_usage_is_read_where_an_answer_has_it_and_is_else_unknown() -> None:
    probe = stack(Script(compact({"results": []})))
    await json_request({"input": "x"}, "/v1/moderations").run(probe)
    assert probe.usage is None
    assert probe.relayed == Relayed(stream=False, observed=True, complete=True)


@pytest.mark.parametrize("limit", [8, 10_000])
@pytest.mark.parametrize("streams", [False, True])
async def test_nothing_of_a_call_stays(*, streams: bool, limit: int) -> None:
    seen: list[weakref.ref[Any]] = []

    def edit(edits: Edits) -> None:
        edits.at_end.append(lambda _: b"")
        seen.append(weakref.ref(edits.at_end[0]))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        parts = (chunk("a"), chunk(finish="stop"), DONE) if streams else (BODY,)
        await Script(*parts, headers=SSE if streams else JSON)(scope, receive, send)

    layer = stack(app, edit, max_observed=limit)
    gc.disable()
    try:
        await call(stream=streams).run(layer)
        assert [ref() for ref in seen] == [None], "without the collector"
    finally:
        gc.enable()


async def test_usage_of_a_responses_call_is_read() -> None:
    body = compact({"id": "resp_1", "usage": RESPONSES_USAGE})
    probe = stack(Script(body))
    await json_request({"model": "small", "input": "x"}, "/v1/responses").run(probe)
    assert probe.usage == EIGHT


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"usage":', b'{"a":1}x', b"[" * 50_000, b'{"usage":{"total_tokens":1}']
)
async def test_a_body_that_is_no_json_passes_unread(body: bytes) -> None:
    probe = stack(Script(body, headers=[*JSON, (b"etag", b"x")]), show_receipt)
    exchange = await call().run(probe)
    assert exchange.body == body
    assert exchange.header("etag") == "x"
    assert probe.usage is None
    assert probe.relayed == Relayed(stream=False, observed=False, complete=True)


async def test_a_body_without_a_type_is_read_where_json_was_asked_for() -> None:
    probe = stack(Script(BODY, headers=[]))
    exchange = await call().run(probe)
    assert exchange.body == BODY
    assert probe.usage == EIGHT


async def test_bytes_of_another_type_flow_at_once() -> None:
    gate = asyncio.Event()
    script = Script(b"ID3", gate.wait, b"rest", headers=[(b"content-type", b"audio/mpeg")])
    probe = stack(script)
    exchange = json_request({"model": "m", "input": "x", "voice": "v"}, "/v1/audio/speech")
    async with running(probe, exchange) as task:
        await exchange.until(b"ID3")
        gate.set()
        await task
    assert exchange.body == b"ID3rest"
    assert probe.relayed == Relayed(stream=False, observed=False, complete=True)


async def test_a_body_up_to_the_bound_is_edited_and_of_one_beyond_it_the_usage_read() -> None:
    for bound, seen in ((len(BODY), True), (len(BODY) - 1, False)):
        probe = stack(Script(BODY[:50], BODY[50:]), show_receipt, max_observed=bound)
        exchange = await call().run(probe)
        assert (exchange.body == BODY) is not seen
        assert probe.relayed == Relayed(stream=False, observed=seen, complete=True)
        assert probe.usage is not None


async def test_a_body_beyond_the_bound_flows_from_there_on() -> None:
    gate = asyncio.Event()
    probe = stack(Script(b"[" + b" " * 4_194_304, gate.wait, b"1", gate.wait, b"]"))
    exchange = call("/v1/embeddings")
    async with running(probe, exchange) as task:
        await exchange.until(b"[")
        gate.set()
        await task
    assert len(exchange.body) == 4_194_307
    assert exchange.ended


async def test_a_compressed_body_passes_unread() -> None:
    packed = gzip.compress(BODY)
    headers = [*JSON, (b"content-encoding", b"gzip"), (b"content-length", b"%d" % len(packed))]
    probe = stack(Script(packed, headers=headers), show_receipt)
    exchange = await call().run(probe)
    assert exchange.body == packed
    assert exchange.headers == headers
    assert probe.relayed == Relayed(stream=False, observed=False, complete=True)


async def test_the_upstream_is_asked_for_plain_bytes() -> None:
    script = Script(BODY)
    exchange = call()
    exchange.scope["headers"].append((b"accept-encoding", b"gzip, br"))
    exchange.scope["extensions"] = {"http.response.pathsend": {}, "http.response.debug": {}}
    await exchange.run(stack(script))
    assert script.header(b"accept-encoding") == [b"identity"]
    assert script.scope["extensions"] == {"http.response.debug": {}}


@pytest.mark.parametrize("headers", [JSON, []])
async def test_an_empty_answer_is_an_error(headers: list[tuple[bytes, bytes]]) -> None:
    probe = stack(Script(headers=headers))
    exchange = await call().run(probe)
    assert is_gateway_error(exchange, "upstream_invalid_response")
    assert probe.relayed == Relayed(stream=False, observed=False, complete=False)


@pytest.mark.parametrize("status", [204, 304])
@pytest.mark.parametrize("stream", [None, True])
async def test_no_content_is_no_answer_to_a_generation(status: int, *, stream: bool | None) -> None:
    exchange = await call(stream=stream).run(stack(Script(status=status, headers=[])))
    assert is_gateway_error(exchange, "upstream_invalid_response")


async def test_no_content_passes_elsewhere() -> None:
    exchange = Exchange(http_scope("GET", "/v1/models"))
    await exchange.run(stack(Script(status=304, headers=[(b"etag", b"x")])))
    assert exchange.status == 304
    assert exchange.ended


async def test_a_head_has_no_body() -> None:
    headers = [*JSON, (b"content-length", b"999")]
    exchange = Exchange(http_scope("HEAD", "/v1/models"))
    await exchange.run(stack(Script(headers=headers), show_receipt))
    assert exchange.headers == headers
    assert exchange.body == b""
    assert exchange.ended


@pytest.mark.parametrize("stream", [None, True])
async def test_an_error_of_the_upstream_passes(*, stream: bool | None) -> None:
    body = compact({"error": {"message": "no"}})
    probe = stack(Script(body, status=429), show_receipt)
    exchange = await call(stream=stream).run(probe)
    assert (exchange.status, exchange.body) == (429, body)
    assert probe.usage is None
    assert probe.relayed == Relayed(stream=False, observed=False, complete=True)


async def test_a_stream_that_was_not_asked_for_is_an_error() -> None:
    exchange = await call().run(stack(Script(*CHAT, headers=SSE)))
    assert is_gateway_error(exchange, "upstream_invalid_response")


@pytest.mark.parametrize(
    "headers",
    [JSON, [], [(b"content-type", b"text/html")], [*JSON, (b"content-encoding", b"gzip")]],
)
async def test_a_plain_answer_to_a_streaming_call_is_an_error(
    headers: list[tuple[bytes, bytes]],
) -> None:
    probe = stack(Script(BODY, headers=headers))
    exchange = await call(stream=True).run(probe)
    assert is_gateway_error(exchange, "upstream_invalid_response")
    assert probe.relayed == Relayed(stream=False, observed=False, complete=False)


async def test_what_the_app_still_sends_after_a_refusal_is_dropped() -> None:
    gone = BrokenResponseError("late")
    exchange = await call(stream=True).run(stack(Script(BODY, BODY, gone)))
    assert is_gateway_error(exchange, "upstream_invalid_response")


async def test_other_operations_pass_untouched() -> None:
    script = Script(b"\x00\x01")
    exchange = Exchange(http_scope("GET", "/v1/files/f/content", [(b"accept-encoding", b"gzip")]))
    probe = stack(script, show_receipt)
    await exchange.run(probe)
    assert exchange.body == b"\x00\x01"
    assert script.header(b"accept-encoding") == [b"gzip"]
    assert probe.relayed is None


async def test_an_unreadable_call_is_refused() -> None:
    exchange = await json_request(b"{").run(stack(Script(BODY)))
    assert exchange.status == 400
    assert exchange.json()["error"]["code"] == "invalid_json"


def test_a_bound_must_be_positive() -> None:
    with pytest.raises(ValueError, match="max_observed is 0"):
        RelayMiddleware(Script(), max_observed=0)


# Streams.


@given(places=st.lists(st.integers(0, 1200), max_size=30))
@settings(max_examples=30)
async def test_a_stream_passes_byte_by_byte_the_same(places: list[int]) -> None:
    stream = b"".join(CHAT_WITH_USAGE)
    probe = stack(Script(*cut(stream, places), headers=SSE))
    exchange = await call(stream=True).run(probe)
    assert exchange.body == stream
    assert exchange.ended
    assert probe.usage == EIGHT
    assert probe.relayed == Relayed(stream=True, observed=True, complete=True, events=5)


async def test_a_stream_starts_at_once_and_is_kept_from_being_buffered() -> None:
    gate = asyncio.Event()
    headers = [*SSE, (b"content-length", b"999"), (b"x-accel-buffering", b"yes")]
    exchange = call(stream=True)
    async with running(stack(Script(gate.wait, *CHAT, headers=headers)), exchange) as task:
        async with asyncio.timeout(5):
            await exchange.sent.wait()
        assert exchange.headers == [
            *SSE,
            (b"cache-control", b"no-cache, no-transform"),
            (b"x-accel-buffering", b"no"),
        ]
        gate.set()
        await task


async def test_the_upstreams_own_cache_control_stays() -> None:
    headers = [*SSE, (b"cache-control", b"no-store")]
    exchange = await call(stream=True).run(stack(Script(*CHAT, headers=headers)))
    assert exchange.header("cache-control") == "no-store"


@pytest.mark.parametrize("edit", [None, want_usage])
async def test_each_event_is_out_before_the_next_comes(edit: Any) -> None:
    exchange = call(stream=True)

    def arrived(part: bytes) -> Any:
        return lambda: exchange.until(part)

    steps = [step for part in CHAT for step in (part, arrived(part))]
    async with asyncio.timeout(5):
        await exchange.run(stack(Script(*steps, headers=SSE), edit))
    assert exchange.body == b"".join(CHAT)


async def test_the_facts_are_there_before_done_leaves() -> None:
    probe = stack(Script(*CHAT_WITH_USAGE, headers=SSE))
    await call(stream=True).run(probe)
    message, usage, relayed = next(item for item in probe.seen if item[0].get("body") == DONE)
    assert message["more_body"]
    assert usage == EIGHT
    assert relayed == Relayed(stream=True, observed=True, complete=True, events=5)


async def test_the_facts_are_there_before_the_terminal_event_leaves() -> None:
    probe = stack(Script(*RESPONSES, headers=SSE))
    await json_request({"model": "m", "input": "x", "stream": True}, "/v1/responses").run(probe)
    _, usage, relayed = next(item for item in probe.seen if item[0].get("body") == RESPONSES[-1])
    assert usage == EIGHT
    assert relayed is not None
    assert relayed.complete


@pytest.mark.parametrize(
    ("exchange", "kind"),
    [
        (call("/v1/images/generations", stream=True), "image_generation.completed"),
        (upload("/v1/images/edits"), "image_edit.completed"),
        (upload("/v1/audio/transcriptions"), "transcript.text.done"),
        (call("/v1/audio/speech", stream_format="sse"), "speech.audio.done"),
    ],
)
async def test_usage_of_image_and_audio_streams_is_read(exchange: Exchange, kind: str) -> None:
    part = event({"type": kind.rpartition(".")[0] + ".delta", "b64_json": "A" * 2_000_000})
    last = event({"type": kind, "usage": RESPONSES_USAGE}, kind)
    probe = stack(Script(part, last, headers=SSE), want_usage)
    await exchange.run(probe)
    assert exchange.body == part + last
    assert probe.usage == EIGHT


async def test_a_huge_event_passes_and_leaves_the_stream_unobserved() -> None:
    big = chunk("x" * 5_000_000)
    probe = stack(Script(*cut(big, range(0, 5_000_000, 65_536)), *CHAT, headers=SSE), show_receipt)
    exchange = await call(stream=True).run(probe)
    assert exchange.body == big + b"".join(CHAT)
    assert exchange.ended
    assert probe.relayed is not None
    assert not probe.relayed.observed


async def test_after_a_huge_event_that_broke_off_the_error_stands_by_itself() -> None:
    gone = BrokenResponseError("gone")
    script = Script(b"data: " + b"x" * 3000, gone, headers=SSE)
    exchange = call(stream=True)
    with pytest.raises(BrokenResponseError):
        await exchange.run(stack(script, max_observed=1000))
    assert exchange.body.partition(b"x\n\n")[2].startswith(b'data: {"error":')
    assert not exchange.ended


async def test_a_compressed_stream_passes_unread() -> None:
    packed = gzip.compress(b"".join(CHAT))
    probe = stack(Script(packed, headers=[*SSE, (b"content-encoding", b"gzip")]), show_receipt)
    exchange = await call(stream=True).run(probe)
    assert exchange.body == packed
    assert exchange.ended
    assert probe.relayed == Relayed(stream=False, observed=False, complete=True)


async def test_an_empty_stream_is_no_success() -> None:
    exchange = call(stream=True)
    with pytest.raises(BrokenResponseError):
        await exchange.run(stack(Script(headers=SSE)))
    (error,) = members(exchange.body)
    assert error["error"]["code"] == "upstream_interrupted"
    assert not exchange.ended


# The usage of streams whose client did not ask for it.


@pytest.mark.parametrize(
    ("more", "sent"),
    [
        ({}, {"include_usage": True}),
        ({"stream_options": None}, {"include_usage": True}),
        ({"stream_options": {}}, {"include_usage": True}),
        ({"stream_options": {"include_usage": False}}, {"include_usage": True}),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"include_obfuscation": False, "include_usage": True},
        ),
    ],
)
async def test_usage_is_asked_for_and_the_extra_chunk_withheld(
    more: dict[str, Any], sent: dict[str, Any]
) -> None:
    script = Script(*CHAT_WITH_USAGE, headers=SSE)
    probe = stack(script, want_usage)
    exchange = await call(stream=True, **more).run(probe)
    assert exchange.body == b"".join(CHAT)
    assert json.loads(script.request)["stream_options"] == sent
    assert script.header(b"content-length") == [b"%d" % len(script.request)]
    assert probe.usage == EIGHT


@pytest.mark.parametrize(
    ("path", "more", "options"),
    [
        ("/v1/chat/completions", {"stream_options": {"include_usage": True}}, {}),
        ("/v1/chat/completions", {}, {"inject_usage": False}),
        ("/v1/chat/completions", {"stream": False}, {}),
        ("/v1/images/generations", {}, {}),
    ],
)
async def test_a_request_stays_as_it_is_where_nothing_is_to_be_asked(
    path: str, more: dict[str, Any], options: dict[str, Any]
) -> None:
    script = Script(compact({"error": {"message": "no"}}), status=400)
    exchange = call(path, **{"stream": True, **more})
    sent = exchange._inbox[0]["body"]
    await exchange.run(stack(script, want_usage, **options))
    assert script.request == sent


async def test_options_that_are_no_object_are_left_to_the_upstream() -> None:
    script = Script(compact({"error": {"message": "no"}}), status=400)
    await call(stream=True, stream_options=7).run(stack(script, want_usage))
    assert json.loads(script.request)["stream_options"] == 7


async def test_an_option_that_stands_twice_is_refused() -> None:
    body = b'{"stream":true,"stream_options":{"include_usage":false,"include_usage":false}}'
    exchange = await json_request(body).run(stack(Script(BODY), want_usage))
    assert exchange.status == 400
    assert exchange.json()["error"]["code"] == "invalid_json"


async def test_without_asking_the_usage_chunk_of_the_upstream_passes() -> None:
    probe = stack(Script(*CHAT_WITH_USAGE, headers=SSE), want_usage, inject_usage=False)
    exchange = await call(stream=True).run(probe)
    assert exchange.body == b"".join(CHAT_WITH_USAGE)
    assert probe.usage == EIGHT


async def test_a_client_that_asked_sees_the_usage_chunk() -> None:
    probe = stack(Script(*CHAT_WITH_USAGE, headers=SSE), want_usage)
    exchange = await call(stream=True, stream_options={"include_usage": True}).run(probe)
    assert exchange.body == b"".join(CHAT_WITH_USAGE)


async def test_a_receipt_is_shown_to_a_client_that_did_not_ask() -> None:
    probe = stack(Script(*CHAT_WITH_USAGE, headers=SSE), show_receipt)
    exchange = await call(stream=True).run(probe)
    first, _, last, done = members(exchange.body)
    assert first["model"] == last["model"] == "shown"
    assert last["usage"] == {**USAGE, "cost": 8}
    assert last["receipt"] == "r"
    assert done == "[DONE]"
    assert probe.relayed == Relayed(stream=True, observed=True, complete=True, events=5)


async def test_a_receipt_is_shown_in_a_responses_stream() -> None:
    probe = stack(Script(*RESPONSES, headers=SSE), show_receipt)
    exchange = json_request({"model": "m", "input": "x", "stream": True}, "/v1/responses")
    await exchange.run(probe)
    last = members(exchange.body)[-1]["response"]
    assert (last["model"], last["receipt"], last["usage"]["cost"]) == ("shown", "r", 8)


async def test_an_edit_that_fails_is_our_own_fault_and_breaks_the_stream() -> None:
    def fail(edits: Edits) -> None:
        edits.at_end.append(lambda _: 1 / 0)  # type: ignore[arg-type,return-value] # fails first

    exchange = call(stream=True)
    with pytest.raises(ZeroDivisionError):
        await exchange.run(stack(Script(*CHAT, headers=SSE), fail))
    assert members(exchange.body)[-1]["error"]["type"] == "server_error"
    assert not exchange.ended


# Streams that break.


FORMS = [
    ("/v1/chat/completions", CHAT_WITH_USAGE),
    ("/v1/completions", CHAT_WITH_USAGE),
    ("/v1/responses", RESPONSES),
]


def is_last_word(operation: str, body: bytes) -> bool:
    """Tell whether a stream ends with an error of ours, in the form of its API, and only one."""
    if b"[DONE]" in body or body.count(b'"upstream_interrupted"') != 1:
        return False
    *_, last, rest = body.split(b"\n\n")
    if rest:
        return False
    if operation.endswith("responses"):
        named, _, data = last.partition(b"\ndata: ")
        said = json.loads(data)
        return named == b"event: error" and said["type"] == "error" and bool(said["message"])
    return bool(json.loads(last.removeprefix(b"data: "))["error"]["message"])


@pytest.mark.parametrize(("path", "parts"), FORMS)
@pytest.mark.parametrize("edit", [None, show_receipt])
@given(data=st.data())
@settings(max_examples=40)
async def test_a_stream_that_breaks_ends_with_one_error_and_a_cut(
    path: str, parts: tuple[bytes, ...], edit: Any, data: st.DataObject
) -> None:
    stream = b"".join(parts)
    end = len(stream) - (len(parts[-1]) if path.endswith("responses") else len(DONE))
    place = data.draw(st.integers(0, end) | st.sampled_from([0, len(parts[0]), end]))
    torso = data.draw(st.booleans())
    # A clean end right after the finish chunk is proper, if unusual.
    finished = len(b"".join(CHAT_WITH_USAGE[:3])) - 2
    if torso and not path.endswith("responses") and place >= finished:
        place = finished - 1
    steps = [stream[:place]] if torso else [stream[:place], BrokenResponseError("gone")]
    probe = stack(Script(*steps, headers=SSE), edit)
    exchange = call(path, stream=True)
    with pytest.raises(BrokenResponseError):
        await exchange.run(probe)
    assert is_last_word(path, exchange.body)
    assert not exchange.ended
    assert probe.relayed is not None
    assert not probe.relayed.complete
    _, relayed = probe.before_the_last
    assert relayed == probe.relayed


@pytest.mark.parametrize("torso", [True, False])
async def test_an_app_that_returns_early_breaks_its_stream(*, torso: bool) -> None:
    exchange = call(stream=True)
    with pytest.raises(BrokenResponseError):
        await exchange.run(stack(Script(CHAT[0], headers=SSE, torso=torso)))
    assert is_last_word("", exchange.body)


async def test_an_app_that_fails_breaks_its_stream_and_tells_nothing() -> None:
    exchange = call(stream=True)
    with pytest.raises(RuntimeError):
        await exchange.run(stack(Script(CHAT[0], RuntimeError("secret"), headers=SSE)))
    assert b"secret" not in exchange.body
    assert members(exchange.body)[-1]["error"]["type"] == "server_error"
    assert not exchange.ended


@pytest.mark.parametrize("end", [BrokenResponseError("gone"), None])
@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/chat/completions", event({"error": {"message": "mine", "code": "theirs"}})),
        ("/v1/responses", event({"type": "error", "message": "mine"}, "error")),
    ],
)
async def test_an_error_of_the_upstream_is_not_doubled(path: str, error: bytes, end: Any) -> None:
    steps = [CHAT[0], error] if end is None else [CHAT[0], error, end]
    probe = stack(Script(*steps, headers=SSE))
    exchange = call(path, stream=True)
    if end is None:
        await exchange.run(probe)
    else:
        with pytest.raises(BrokenResponseError):
            await exchange.run(probe)
    assert exchange.body == CHAT[0] + error
    assert exchange.ended is (end is None)
    assert probe.relayed == Relayed(stream=True, observed=True, complete=False, events=2)


@pytest.mark.parametrize(("path", "parts"), FORMS)
async def test_a_stream_that_breaks_after_its_end_was_whole(
    path: str, parts: tuple[bytes, ...]
) -> None:
    probe = stack(Script(*parts, b"data: {half", BrokenResponseError("gone"), headers=SSE))
    exchange = await call(path, stream=True).run(probe)
    assert exchange.body == b"".join(parts)
    assert exchange.ended
    assert probe.relayed is not None
    assert probe.relayed.complete


async def test_a_compressed_stream_that_breaks_is_cut() -> None:
    headers = [*SSE, (b"content-encoding", b"gzip")]
    exchange = call(stream=True)
    with pytest.raises(BrokenResponseError):
        await exchange.run(stack(Script(b"\x1f\x8b", BrokenResponseError("gone"), headers=headers)))
    assert exchange.body == b"\x1f\x8b"
    assert not exchange.ended


@pytest.mark.parametrize("torso", [True, False])
async def test_a_body_that_breaks_while_it_is_held_becomes_an_error(*, torso: bool) -> None:
    steps = [BODY[:9]] if torso else [BODY[:9], BrokenResponseError("gone")]
    probe = stack(Script(*steps, torso=torso))
    exchange = await call().run(probe)
    assert is_gateway_error(exchange, "upstream_interrupted")
    assert probe.relayed == Relayed(stream=False, observed=False, complete=False)


async def test_a_body_that_breaks_on_its_way_is_cut() -> None:
    script = Script(b"x" * 20, BrokenResponseError("gone"))
    exchange = call()
    with pytest.raises(BrokenResponseError):
        await exchange.run(stack(script, max_observed=10))
    assert exchange.body == b"x" * 20
    assert not exchange.ended


async def test_an_app_that_says_nothing_gets_an_error_said() -> None:
    async def silent(scope: Scope, receive: Receive, send: Send) -> None:
        """Return."""

    exchange = await call().run(stack(silent))
    assert is_gateway_error(exchange, "upstream_interrupted")


async def test_an_app_that_fails_before_its_answer_is_the_business_of_others() -> None:
    async def fail(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise RuntimeError

    exchange = call()
    with pytest.raises(RuntimeError):
        await exchange.run(stack(fail))
    assert exchange.messages == []


# Shutdown, and clients that leave.


async def ever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(("path", "parts"), FORMS)
async def test_a_stream_that_is_cancelled_ends_with_one_error(
    path: str, parts: tuple[bytes, ...]
) -> None:
    probe = stack(Script(parts[0], parts[1], ever, headers=SSE), show_receipt)
    exchange = call(path, stream=True)
    async with running(probe, exchange) as task:
        await exchange.until(b"data")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert exchange.body.count(b"server_is_shutting_down") == 1
    assert exchange.body.endswith(b"\n\n")
    assert not exchange.ended
    assert probe.relayed is not None
    assert not probe.relayed.complete


async def test_a_plain_call_that_is_cancelled_gets_an_error() -> None:
    exchange = call()
    held = asyncio.Event()

    async def hold() -> None:
        held.set()
        await ever()

    async with running(stack(Script(BODY[:5], hold)), exchange) as task:
        await held.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert exchange.status == 503
    assert exchange.json()["error"]["code"] == "server_is_shutting_down"
    assert exchange.ended


async def test_a_client_that_does_not_read_cannot_hold_up_a_shutdown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("veneer.layers.relay.FAREWELL", 0.01)
    blocked = asyncio.Event()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.body":
            blocked.set()
            await ever()

    exchange = call(stream=True)
    probe = stack(Script(CHAT[0], ever, headers=SSE))
    task = asyncio.create_task(probe(exchange.scope, exchange.receive, send))
    async with asyncio.timeout(5):
        await blocked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def test_a_client_that_leaves_after_done_saw_a_whole_answer() -> None:
    exchange = call(stream=True)

    async def leave() -> None:
        exchange.disconnect.set()

    probe = stack(Script(*CHAT_WITH_USAGE, leave, headers=SSE))
    await exchange.run(probe)
    assert probe.usage == EIGHT
    assert probe.relayed is not None
    assert probe.relayed.complete


async def test_an_app_that_returns_because_its_client_left_is_no_failure() -> None:
    exchange = call(stream=True)
    gone = asyncio.Event()

    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        start = {"type": "http.response.start", "status": 200, "headers": SSE}
        await send(start)
        await send({"type": "http.response.body", "body": CHAT[0], "more_body": True})
        gone.set()
        assert (await receive())["type"] == "http.disconnect"

    probe = stack(app)
    async with running(probe, exchange) as task:
        await gone.wait()
        exchange.disconnect.set()
        await task
    assert exchange.body == CHAT[0]
    assert probe.relayed == Relayed(stream=True, observed=True, complete=False, events=1)


async def test_a_client_that_left_gets_no_answer() -> None:
    probe = stack(Script(CHAT[0], ClientDisconnectedError(), headers=SSE))
    exchange = await call(stream=True).run(probe)
    assert exchange.body == CHAT[0]
    assert probe.relayed is not None
    assert not probe.relayed.complete


async def test_a_client_that_leaves_before_the_usage_has_not_had_the_whole_stream() -> None:
    probe = stack(Script(*CHAT[:3], ClientDisconnectedError(), headers=SSE))
    await call(stream=True).run(probe)
    assert probe.relayed == Relayed(stream=True, observed=True, complete=False, events=3)


async def test_messages_of_extensions_pass() -> None:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.early_hint", "links": []})
        start = {"type": "http.response.start", "status": 200, "headers": JSON, "trailers": True}
        await send(start)
        await send({"type": "http.response.body", "body": BODY})
        await send({"type": "http.response.trailers", "headers": [], "more_trailers": False})

    sent: list[str] = []

    async def send(message: Message) -> None:
        sent.append(message["type"])

    exchange = call()
    await Probe(RelayMiddleware(app))(exchange.scope, exchange.receive, send)
    assert [kind.rpartition(".")[2] for kind in sent] == ["early_hint", "start", "body", "trailers"]


async def test_usage_chunks_of_two_calls_do_not_mix() -> None:
    probe = stack(Script(usage_chunk(), DONE, headers=SSE), want_usage)
    await call(stream=True).run(probe)
    assert probe.usage == EIGHT
    plain = stack(Script(*CHAT, headers=SSE), want_usage)
    await call(stream=True).run(plain)
    assert plain.usage is None
