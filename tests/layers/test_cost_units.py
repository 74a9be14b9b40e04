"""What is paid for by its number: hosted tools, and images."""

from typing import Any

import pytest

from tests.asgi import Exchange, json_request
from tests.layers.costs import HELD, TOKEN, Watched, ask, charged
from tests.layers.limits import plain, streaming
from tests.layers.probe import JSON, SSE, Script, call, upload
from tests.layers.streams import RESPONSES_USAGE, USAGE, compact, cut, event
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price

SEARCH = DOLLAR // 100
TOOLS = {"web_search": SEARCH, "file_search": SEARCH // 4}
BOOK = PriceBook([("small", Price(input=DOLLAR, output=2 * DOLLAR, tools=TOOLS))])
IMAGE = DOLLAR // 25
IMAGES = PriceBook([(name, Price(image=IMAGE)) for name in ("small", "images.*")])

TOKENS = PriceBook(
    [(name, Price(input=DOLLAR, output=2 * DOLLAR)) for name in ("small", "images.*")]
)
# An edit has an image for its input, and no text that was read.
INPUT = {"generations": 0, "edits": 8192 - 10}


def declaring(*types: str, **more: Any) -> Exchange:
    """Return a Responses call with tools."""
    return call("/v1/responses", input="x", tools=[{"type": each} for each in types], **more)


@pytest.mark.parametrize(
    ("exchange", "held"),
    [
        (declaring("web_search"), 10 * SEARCH),
        (declaring("web_search", "file_search"), 10 * SEARCH + 10 * SEARCH // 4),
        (declaring("web_search", "file_search", max_tool_calls=2), 2 * SEARCH),
        (declaring("function"), 0),
        (call("/v1/responses", input="x"), 0),
        (call(web_search_options={}), SEARCH),
        (call(), 0),
    ],
)
async def test_hosted_tools_are_held(exchange: Exchange, held: int) -> None:
    watched = Watched()
    await ask(charged(plain(), ledger=watched, prices=BOOK), exchange)
    assert watched.holds[0].amount == HELD + held


async def test_what_was_called_of_them_is_charged() -> None:
    watched = Watched()
    output = [{"type": "web_search_call"}] * 3
    app = plain(body=compact({"output": output, "usage": RESPONSES_USAGE}))
    await ask(charged(app, ledger=watched, prices=BOOK), declaring("web_search"))
    assert watched.end.parts["tools"] == 3 * SEARCH
    app = plain(body=compact({"output": [], "usage": RESPONSES_USAGE}))
    watched = Watched()
    await ask(charged(app, ledger=watched, prices=BOOK), declaring("web_search"))
    assert watched.end.parts.keys() == {"input", "output"}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_chat_that_searches_does_so_once(*, stream: bool) -> None:
    watched = Watched()
    app = streaming() if stream else plain()
    exchange = call(stream=stream, web_search_options={})
    answer = await ask(charged(app, ledger=watched, prices=BOOK), exchange)
    assert watched.end.parts == {"input": 5 * TOKEN, "output": 6 * TOKEN, "tools": SEARCH}
    assert not watched.end.estimated
    assert b'"cost":0.010011' in answer.body
    failed = Watched()
    await ask(charged(plain(status=500), ledger=failed, prices=BOOK), call(web_search_options={}))
    assert failed.end.total == 0


def drawing(came: int, **more: Any) -> Script:
    """Return an app that answers with so many images."""
    return plain(body=compact({"created": 1, "data": [{"b64_json": "AAAA"}] * came, **more}))


@pytest.mark.parametrize("came", [0, 1, 3, 4])
async def test_images_are_charged_that_came(came: int) -> None:
    watched = Watched()
    exchange = json_request({"model": "small", "n": 3}, "/v1/images/generations")
    answer = await ask(charged(drawing(came), ledger=watched, prices=IMAGES), exchange)
    assert watched.holds[0].amount == 3 * IMAGE + 5
    assert (watched.end.total, watched.end.estimated) == (came * IMAGE, False)
    assert answer.json()["usage"]["cost"] == came * 0.04


@pytest.mark.parametrize("kind", ["edits", "variations"])
async def test_of_an_upload_the_most_is_held_and_what_came_charged(kind: str) -> None:
    watched = Watched()
    layer = charged(drawing(2), ledger=watched, prices=IMAGES)
    await ask(layer, upload(f"/v1/images/{kind}"))
    assert watched.holds[0].amount == 10 * IMAGE + 5
    assert watched.end.total == 2 * IMAGE


@pytest.mark.parametrize(
    "app",
    [
        plain(body=b'{"created":1}'),
        plain(body=b'{"data":{}}'),
        Script(b"\x1f\x8b", headers=[*JSON, (b"content-encoding", b"gzip")]),
        plain(body=b'{"data":["%b"]}' % (b"x" * 5_000_000)),
    ],
)
async def test_what_cannot_be_counted_is_as_many_as_were_held(app: Script) -> None:
    watched = Watched()
    exchange = json_request({"model": "small", "n": 3}, "/v1/images/generations")
    await ask(charged(app, ledger=watched, prices=IMAGES), exchange)
    assert (watched.end.total, watched.end.estimated) == (3 * IMAGE, True)


LARGE = b'{"data":[{"b64_json":"%b"},{"b64_json":"%b"}]}' % (b"A" * 4_500_000, b"A" * 10)


@pytest.mark.parametrize("places", [[], [4_300_000, 4_500_030], [4_500_028, 4_500_029, 4_500_036]])
@pytest.mark.parametrize("kind", ["generations", "edits"])
async def test_images_are_counted_in_an_answer_that_is_too_large_to_be_held(
    kind: str, places: list[int]
) -> None:
    for prices, cost in ((IMAGES, 2 * IMAGE), (TOKENS, (26 + INPUT[kind] + 2 * 2 * 8192) * TOKEN)):
        watched = Watched()
        exchange = json_request(
            {"model": "small", "n": 3, "prompt": "x" * 8}, "/v1/images/generations"
        )
        if kind == "edits":
            exchange = upload("/v1/images/edits")
        app = Script(*cut(LARGE, places))
        answer = await ask(charged(app, ledger=watched, prices=prices), exchange)
        assert answer.body == LARGE
        assert (watched.end.total, watched.end.estimated) == (cost, prices is TOKENS)


async def test_images_that_cost_their_tokens_are_as_sure_as_these() -> None:
    watched = Watched()
    exchange = json_request({"model": "small", "n": 3}, "/v1/images/generations")
    await ask(charged(plain(body=compact({"usage": USAGE})), ledger=watched), exchange)
    assert (watched.end.total, watched.end.estimated) == (11 * TOKEN, False)


PARTIAL = event({"type": "image_generation.partial_image", "b64_json": "AA"})
COMPLETED = event({"type": "image_generation.completed", "b64_json": "AAAA"})
EDITED = event({"type": "image_edit.completed", "b64_json": "AAAA"})


async def test_of_a_stream_of_images_those_are_charged_that_are_complete() -> None:
    watched = Watched()
    app = Script(PARTIAL, PARTIAL, COMPLETED, headers=SSE)
    exchange = json_request(
        {"model": "small", "stream": True, "partial_images": 2}, "/v1/images/generations"
    )
    await ask(charged(app, ledger=watched, prices=IMAGES), exchange)
    assert (watched.end.state, watched.end.total, watched.end.estimated) == (
        "completed",
        IMAGE,
        False,
    )


async def test_all_that_were_asked_for_are_when_the_first_is_the_end() -> None:
    watched = Watched()
    app = Script(PARTIAL, COMPLETED, COMPLETED, headers=SSE)
    exchange = json_request({"model": "small", "stream": True, "n": 2}, "/v1/images/generations")
    await ask(charged(app, ledger=watched, prices=IMAGES), exchange)
    assert watched.end.total == 2 * IMAGE


async def test_a_stream_of_an_upload_is_counted_too() -> None:
    watched = Watched()
    app = Script(PARTIAL, EDITED, headers=SSE)
    await ask(charged(app, ledger=watched, prices=IMAGES), upload("/v1/images/edits"))
    assert watched.end.total == IMAGE


async def test_a_stream_that_breaks_before_an_image_is_complete_costs_nothing() -> None:
    watched = Watched()
    app = Script(PARTIAL, RuntimeError("broken"), headers=SSE)
    exchange = json_request({"model": "small", "stream": True}, "/v1/images/generations")
    with pytest.raises(RuntimeError):
        await ask(charged(app, ledger=watched, prices=IMAGES), exchange)
    assert (watched.end.state, watched.end.total) == ("failed", 0)


async def test_tools_are_looked_for_only_where_they_have_a_price() -> None:
    watched = Watched()
    await ask(charged(plain(), ledger=watched), declaring("web_search"))
    assert watched.holds[0].amount == HELD


@pytest.mark.parametrize(
    ("path", "price", "is_priced"),
    [
        ("chat/completions", Price(image=IMAGE), False),
        ("chat/completions", Price(second=IMAGE), False),
        ("chat/completions", Price(tools=TOOLS), False),
        ("chat/completions", Price(request=0), True),
        ("chat/completions", Price(input=0), True),
        ("images/generations", Price(second=IMAGE), False),
        ("images/generations", Price(image=0), True),
        ("audio/speech", Price(image=IMAGE), False),
        ("audio/speech", Price(second=IMAGE), True),
    ],
)
async def test_a_price_of_something_else_is_none(
    path: str,
    price: Price,
    is_priced: bool,  # noqa: FBT001 - pytest gives it
) -> None:
    watched = Watched()
    exchange = json_request({"model": "small", "prompt": "x", "input": "x"}, f"/v1/{path}")
    layer = charged(plain(), ledger=watched, prices=PriceBook([("small", price)]))
    answer = await ask(layer, exchange)
    assert (answer.status == 200) is is_priced
    assert len(watched.holds) == is_priced
