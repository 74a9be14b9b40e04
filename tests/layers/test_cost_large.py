"""Answers that are too much to be held: charged by the usage at their end, or what was seen."""

import pytest

from tests.layers.costs import BOOK, COST, ESTIMATE, HELD, NOW, TOKEN, Watched, ask, estimated
from tests.layers.limits import plain
from tests.layers.probe import SSE, Script, call
from tests.layers.streams import DONE, USAGE, chunk, compact, usage_chunk
from tests.lint import Lint
from veneer.layers.cost import CostMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price

pytestmark = pytest.mark.anyio

LIMIT = 1000
LONG = "x" * 2 * LIMIT


def layer(app: Script, watched: Watched, prices: PriceBook = BOOK) -> CostMiddleware:
    """Return the layer around a relay that holds little."""
    return CostMiddleware(
        Lint(RelayMiddleware(Lint(app), max_observed=LIMIT)),
        ledger=watched,
        prices=prices,
        estimator=estimated,
        clock=lambda: NOW,
    )


@pytest.mark.parametrize("parts", [1, 2, 50])
async def test_a_long_answer_costs_what_its_usage_says(parts: int) -> None:
    watched = Watched()
    body = compact({"id": "a", "choices": [{"message": {"content": LONG}}], "usage": USAGE})
    size = -(-len(body) // parts)
    script = Script(*(body[at : at + size] for at in range(0, len(body), size)))
    exchange = await ask(layer(script, watched))
    assert exchange.body == body
    assert (watched.end.total, watched.end.estimated) == (COST, False)


async def test_without_one_it_costs_all_that_was_held() -> None:
    watched = Watched()
    await ask(layer(plain(body=compact({"choices": LONG})), watched))
    assert (watched.end.total, watched.end.estimated) == (HELD, True)


async def test_tools_that_were_not_seen_are_charged_as_they_were_held() -> None:
    watched = Watched()
    price = Price(input=DOLLAR, output=2 * DOLLAR, tools={"web_search": TOKEN})
    body = {"output": [{"text": LONG}], "usage": {"input_tokens": 5, "output_tokens": 3}}
    asked = call("/v1/responses", input="x", tools=[{"type": "web_search"}], max_tool_calls=4)
    await ask(layer(plain(body=compact(body)), watched, PriceBook([("small", price)])), asked)
    assert watched.end.parts == {"input": 5 * TOKEN, "output": 6 * TOKEN, "tools": 4 * TOKEN}
    assert watched.end.estimated


@pytest.mark.parametrize(("events", "total"), [(3, HELD), (30, (10 + 2 * 30) * TOKEN)])
async def test_a_stream_with_a_long_event_costs_what_was_seen_if_that_is_more(
    events: int, total: int
) -> None:
    watched = Watched()
    assert ESTIMATE.output_tokens < 30
    long = chunk(LONG)
    parts = long[: LIMIT + 1], long[LIMIT + 1 :]
    stream = (*[chunk("a")] * events, *parts, chunk(finish="stop"), usage_chunk(), DONE)
    await ask(layer(Script(*stream, headers=SSE), watched), call(stream=True))
    assert (watched.end.total, watched.end.estimated) == (total, True)
