"""A stream that is cut, over sockets: an unmodified client, and an upstream that would go on."""

import asyncio

import openai
import pytest
from openai import AsyncOpenAI
from starlette.middleware import Middleware

from tests.gateway import gateway, stack_of
from tests.layers.costs import BOOK, HELD, Watched, estimated
from tests.layers.streams import chunk
from tests.test_end_to_end import SSE, USER, chunked
from tests.upstream.servers import Peer, serving
from veneer.layers.cost import CostMiddleware
from veneer.upstream.proxy import Upstream


async def test_a_client_gets_an_error_and_the_upstream_loses_its_connection() -> None:
    ledger = Watched()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(*[chunk("a")] * 30))
        await peer.rest()
        gone.set()

    cost = Middleware(
        CostMiddleware, prices=BOOK, ledger=ledger, estimator=estimated, overrun="cut"
    )
    async with serving(script) as server:
        stack = stack_of(Upstream(server.url + "/v1"), cost)
        async with (
            gateway(stack) as served,
            AsyncOpenAI(base_url=served.url, api_key="x", max_retries=0, timeout=5) as client,
        ):
            stream = await client.chat.completions.create(model="small", messages=USER, stream=True)
            parts = [await anext(stream) for _ in range(22)]
            with pytest.raises(openai.APIError, match="used up what was held for it") as raised:
                await anext(stream)
            async with asyncio.timeout(5):
                await gone.wait()
    assert raised.value.code == "insufficient_quota"
    assert {part.choices[0].delta.content for part in parts} == {"a"}
    assert (ledger.end.state, ledger.end.total) == ("cut", HELD - 5)
    assert ledger.end.target == "upstream"
