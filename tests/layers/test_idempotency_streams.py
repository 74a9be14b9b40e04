"""Streams under a key in dialects that ignore it: a warning, in the name of the stream."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.asgi import Exchange
from tests.layers.keyed import Counted, Watched, keyed, layer, whole
from tests.layers.probe import SSE, Script
from tests.layers.streams import CHAT, RESPONSES, compact, cut, event, members
from veneer import facts
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.aurous import aurous
from veneer.layers._warned import CODE

AUROUS = aurous()
STATUS = "aurous-idempotency-status"


async def ask(app: Any, dialect: Dialect = AUROUS, **more: Any) -> Exchange:
    exchange = keyed(**{"stream": True, **more})
    facts.put(exchange.scope, dialect)
    return await exchange.run(app)


def chat(*events: bytes, **options: Any) -> Any:
    return layer(Script(*(events or CHAT), headers=SSE), **options)


async def test_a_stream_runs_without_its_key_and_says_so() -> None:
    store, app = Watched(), Counted(lambda: Script(*CHAT, headers=SSE))
    stack = layer(app, store=store)
    for calls in (1, 2):
        answer = await ask(stack)
        assert app.calls == calls
        assert answer.header(STATUS) == "ignored_streaming"
    assert store.asked == []


async def test_it_begins_with_a_chunk_of_its_own_that_warns() -> None:
    warning, *rest = members((await ask(chat())).body)
    assert rest == members(b"".join(CHAT))
    assert warning["warning"]["code"] == CODE
    assert warning["choices"] == []
    assert (warning["id"], warning["model"]) == (rest[0]["id"], rest[0]["model"])
    assert warning["object"] == "chat.completion.chunk"


@given(st.sets(st.integers(0, 700), max_size=6), st.sampled_from([b"\n", b"\r\n"]))
@settings(deadline=None, max_examples=50)
async def test_the_warning_is_the_first_frame_however_the_stream_comes(
    places: set[int], newline: bytes
) -> None:
    stream = b"".join(CHAT).replace(b"\n", newline)
    answer = await ask(chat(*cut(stream, places), relay=False))
    assert answer.body.endswith(stream)
    warning = members(answer.body)[0]
    assert warning["warning"]["code"] == CODE


async def test_comments_may_come_before_it() -> None:
    answer = await ask(chat(b": one moment\n\n", *CHAT))
    assert answer.body.startswith(b': one moment\n\ndata: {"id":"chatcmpl-1"')
    assert b'"warning"' in answer.body


@pytest.mark.parametrize(
    "first",
    [
        event({"error": {"message": "It broke."}}),
        b"data: [DONE]\n\n",
        b"data: not JSON\n\n",
        b"\xef\xbb\xbf" + CHAT[0],
        b"data: " + b"[" * 100_000 + b"\n\n",
    ],
    ids=["error", "done", "text", "mark", "nested"],
)
async def test_a_stream_that_begins_with_something_else_is_left_alone(first: bytes) -> None:
    answer = await ask(chat(first, *CHAT[1:], relay=False))
    assert answer.body == first + b"".join(CHAT[1:])
    assert answer.header(STATUS) == "ignored_streaming"


async def test_what_is_no_event_stream_is_left_alone() -> None:
    body = compact({"error": {"message": "No."}})
    answer = await ask(layer(whole(body, status=400)))
    assert (answer.status, answer.body) == (400, body)


async def test_an_event_too_large_to_be_looked_at_passes() -> None:
    large = b"data: " + b"x" * 1_100_000
    answer = await ask(chat(large[:900_000], large[900_000:], b"\n\n", *CHAT, relay=False))
    assert answer.body == large + b"\n\n" + b"".join(CHAT)


async def test_a_stream_that_ends_inside_its_first_event_loses_nothing() -> None:
    answer = await ask(chat(b"data: {", relay=False))
    assert answer.body == b"data: {"


async def test_typed_streams_have_the_field_alone() -> None:
    stack = layer(Script(*RESPONSES, headers=SSE))
    answer = await ask(stack, path="/v1/responses", input="a")
    assert answer.header(STATUS) == "ignored_streaming"
    assert members(answer.body)[0]["type"] == "response.created"


async def test_the_option_decides_against_the_dialect() -> None:
    recorded = chat(streams="record")
    for replayed in (None, "true"):
        assert (await ask(recorded)).header("aurous-idempotent-replayed") == replayed
    ignored = await ask(chat(streams="ignore"), OPENAI)
    assert ignored.header("idempotency-status") == "ignored_streaming"
    assert b"warning" not in ignored.body


async def test_a_dialect_that_records_streams_does() -> None:
    recording = msgspec.structs.replace(AUROUS, records_streams=True)
    stack = chat()
    assert (await ask(stack, recording)).header(STATUS) is None
    again = await ask(stack, recording)
    assert again.header("aurous-idempotent-replayed") == "true"
