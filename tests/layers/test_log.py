"""The log layer."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import ASGIApp, Receive, Scope, Send

from tests.asgi import Exchange, Responder, http_scope, json_request, running
from veneer import facts
from veneer.client import ClientDisconnectedError
from veneer.errors import BrokenResponseError
from veneer.facts import Relayed, RequestMetadata, Route, Tried, Usage
from veneer.layers._logged import Entry as LogEntry
from veneer.layers._logged import as_text
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.log import LogMiddleware
from veneer.layers.operations import OperationsMiddleware

CHAT = {"model": "m-1", "stream": True, "messages": []}


class Lines(logging.Handler):
    """Keeps the lines that were logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(self.format(record))


@pytest.fixture
def lines() -> Iterator[list[str]]:
    """Keep the lines of `veneer.access`, whose level is INFO for this test."""
    logger = logging.getLogger("veneer.access")
    handler = Lines()
    logger.addHandler(handler)
    level = logger.level
    logger.setLevel(logging.INFO)
    yield handler.lines
    logger.setLevel(level)
    logger.removeHandler(handler)


def leaving(app: ASGIApp, *left: object) -> ASGIApp:
    """Return the app, with facts left on its way."""

    async def leave(scope: Scope, receive: Receive, send: Send) -> None:
        for fact in left:
            facts.put(scope, fact)
        await app(scope, receive, send)

    return leave


def stack(app: ASGIApp, **options: Any) -> ASGIApp:
    return HeadersMiddleware(LogMiddleware(OperationsMiddleware(app), **options), client_ids=True)


def parsed(lines: Sequence[str]) -> dict[str, Any]:
    """Return the only line, decoded."""
    assert len(lines) == 1
    found: dict[str, Any] = json.loads(lines[0])
    return found


async def test_a_call_leaves_one_line_with_all_that_is_known(lines: list[str]) -> None:
    app = leaving(
        Responder(b"12345", b"678"),
        Route(target="gpu-1", status=200, request_id="up-1", seconds=0.0123),
        Usage(input_tokens=3, output_tokens=4),
        Relayed(stream=True, observed=True, complete=True),
    )
    request = json_request(CHAT, headers=[(b"x-client-request-id", b"mine")])
    answer = await request.run(stack(app, format="json"))
    line = parsed(lines)
    assert line.pop("request_id") == answer.header("x-request-id")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("time"))
    assert 0 <= line.pop("first_byte_ms") <= line.pop("ms")
    assert line == {
        "client_id": "mine",
        "method": "POST",
        "operation": "chat.completions",
        "model": "m-1",
        "stream": True,
        "status": 200,
        "bytes": 8,
        "upstream": "gpu-1",
        "upstream_status": 200,
        "upstream_request_id": "up-1",
        "upstream_ms": 12.3,
        "input_tokens": 3,
        "output_tokens": 4,
        "outcome": "complete",
    }


async def test_text_says_the_same_as_pairs(lines: list[str]) -> None:
    await json_request(CHAT).run(stack(Responder(b"12345")))
    line = re.sub(r"(time|request_id|ms|first_byte_ms)=\S+", r"\1=*", lines[0])
    assert line == (
        "time=* request_id=* method=POST operation=chat.completions model=m-1 stream=true "
        "status=200 ms=* first_byte_ms=* bytes=5 outcome=complete"
    )


async def test_an_unknown_path_is_shown_without_its_query(lines: list[str]) -> None:
    scope = http_scope("GET", "/nope", query_string=b"key=secret")
    await Exchange(scope).run(stack(Responder(), format="json"))
    assert parsed(lines)["path"] == "/nope"
    assert "secret" not in lines[0]


@given(path=st.text().map(lambda text: "/" + text), model=st.text(min_size=1))
def test_nothing_breaks_out_of_its_field(path: str, model: str) -> None:
    entry = LogEntry(time="t", method="GET", path=path, model=model, ms=1, bytes=0, outcome="error")
    line = as_text(entry)
    assert line.isascii()
    assert line.isprintable()
    pairs = dict(re.findall(r'(\w+)=("(?:[^"\\]|\\.)*"|[^ "]+)(?: |$)', line))
    assert set(pairs) == {"time", "method", "path", "model", "ms", "bytes", "outcome"}


async def test_what_clients_and_upstreams_send_cannot_forge_a_line(lines: list[str]) -> None:
    evil = "x\x1b[2J\r\noutcome=complete\u2028\ud800" * 50
    app = leaving(Responder(), Route(target="t", status=200, request_id=evil))
    scope = {**http_scope("GET"), "path": f"/{evil}"}
    await Exchange(scope).run(HeadersMiddleware(LogMiddleware(app, format="json")))
    assert lines[0].isprintable()
    assert len(lines[0]) < 2500


def breaking(error: BaseException) -> ASGIApp:
    """Return an app that begins an answer and raises."""

    async def begin(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        raise error

    return begin


@pytest.mark.parametrize(
    ("app", "outcome"),
    [
        (Responder(b"1"), "complete"),
        (breaking(ValueError()), "error"),
        (
            leaving(
                breaking(BrokenResponseError()),
                Relayed(stream=True, observed=True, complete=False),
            ),
            "upstream_interrupted",
        ),
        (breaking(asyncio.CancelledError()), "cancelled"),
    ],
)
async def test_the_outcome_says_how_a_call_ended(
    app: ASGIApp, outcome: str, lines: list[str]
) -> None:
    run = asyncio.ensure_future(json_request(CHAT).run(stack(app, format="json")))
    await asyncio.wait({run})
    assert parsed(lines)["outcome"] == outcome
    assert run.cancelled() or (run.exception() is None) == (outcome == "complete")


async def test_a_client_that_left_with_the_whole_answer_is_no_error(lines: list[str]) -> None:
    async def linger(scope: Scope, receive: Receive, send: Send) -> None:
        await Responder(b"{}")(scope, receive, send)
        raise ClientDisconnectedError

    await json_request(CHAT).run(stack(linger, format="json"))
    assert parsed(lines)["outcome"] == "complete"


async def test_a_client_that_left_is_told_from_an_app_that_broke(lines: list[str]) -> None:
    async def wait_for_the_client(scope: Scope, receive: Receive, send: Send) -> None:
        del scope
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"1", "more_body": True})
        while (await receive())["type"] != "http.disconnect":
            pass

    exchange = json_request(CHAT)
    async with running(stack(wait_for_the_client, format="json"), exchange) as task:
        await exchange.until(b"1")
        exchange.disconnect.set()
        await task
    line = parsed(lines)
    assert (line["outcome"], line["status"]) == ("client_disconnected", 200)


async def test_a_call_that_was_never_answered_has_no_status(lines: list[str]) -> None:
    async def raise_at_once(scope: Scope, receive: Receive, send: Send) -> None:
        del scope, receive, send
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await json_request(CHAT).run(stack(raise_at_once, format="json"))
    line = parsed(lines)
    assert "status" not in line
    assert (line["outcome"], line["bytes"]) == ("error", 0)


async def test_alone_the_layer_logs_what_it_sees(lines: list[str]) -> None:
    await Exchange(http_scope("GET", "/v1/models")).run(LogMiddleware(Responder(), format="json"))
    assert {"request_id", "operation", "model"}.isdisjoint(parsed(lines))


async def test_a_logger_that_is_off_costs_no_line(lines: list[str]) -> None:
    logging.getLogger("veneer.access").setLevel(logging.WARNING)
    answer = await json_request(CHAT).run(stack(Responder(b"1")))
    assert (answer.body, lines) == (b"1", [])


def test_another_format_is_refused() -> None:
    with pytest.raises(ValueError, match="say 'text' or 'json'"):
        LogMiddleware(Responder(), format="xml")  # type: ignore[arg-type]  # as from untyped code


async def test_calls_in_different_seconds_have_their_own_times(
    lines: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    layer = stack(Responder(), format="json")
    for now in (1_700_000_000.25, 1_700_000_001.5):
        monkeypatch.setattr("veneer.layers.log.time.time", lambda now=now: now)
        await json_request(CHAT).run(layer)
    assert [json.loads(line)["time"] for line in lines] == [
        "2023-11-14T22:13:20.250Z",
        "2023-11-14T22:13:21.500Z",
    ]


def test_every_field_of_an_entry_is_of_a_known_kind() -> None:
    entry = LogEntry(time="t", method="GET", stream=False, ms=1.5, bytes=0, outcome="complete")
    assert as_text(entry) == "time=t method=GET stream=false ms=1.5 bytes=0 outcome=complete"


TRIED = (
    Tried(target="west", why="status", status=503, usage=Usage(input_tokens=5, total_tokens=5)),
    Tried(target="north", why="timeout"),
)
ROUTED = Route(
    target="east",
    status=200,
    model="meta/m-1",
    canonical="m-1",
    strategy="ttft",
    own_key=True,
    tried=TRIED,
)


async def test_a_router_tells_who_was_asked_and_what_that_used(lines: list[str]) -> None:
    await json_request(CHAT).run(stack(leaving(Responder(), ROUTED), format="json"))
    line = parsed(lines)
    assert (line["upstream"], line["upstream_model"], line["strategy"]) == (
        "east",
        "meta/m-1",
        "ttft",
    )
    assert (line["own_key"], line["tries"], line["tried_tokens"]) == (True, 3, 5)
    assert line["tried"] == "west:status:503,north:timeout"


async def test_of_a_first_try_no_tries_are_told(lines: list[str]) -> None:
    route = msgspec.structs.replace(ROUTED, model="m-1", own_key=False, tried=())
    await json_request(CHAT).run(stack(leaving(Responder(), route), format="json"))
    line = parsed(lines)
    assert line.keys().isdisjoint({"upstream_model", "own_key", "tries", "tried", "tried_tokens"})
    assert line["strategy"] == "ttft"


async def test_many_tries_are_one_field(lines: list[str]) -> None:
    tried = tuple(Tried(target="a b\n" * 9, why="status", status=500) for _ in range(19))
    route = msgspec.structs.replace(ROUTED, tried=tried)
    await json_request(CHAT).run(stack(leaving(Responder(), route)))
    assert lines[0].isprintable()
    assert " tries=20 tried=" in lines[0]
    assert len(lines[0]) < 1000


async def test_what_a_client_says_of_its_request_is_told(lines: list[str]) -> None:
    metadata = RequestMetadata(user_id="u-1", trace_id="t 1", tags=("x",), custom_fields={"k": "v"})
    await json_request(CHAT).run(stack(leaving(Responder(), metadata)))
    assert ' user_id=u-1 trace_id="t 1" method=' in lines[0]
