"""What real calls cost, over sockets: an upstream that answers, breaks off, or is not there."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import openai
import pytest
from openai import AsyncOpenAI
from starlette.middleware import Middleware

from tests.gateway import Caller, gateway, stack_of
from tests.layers.costs import BOOK, COST, ESTIMATE, NOW, TOKEN, Watched, estimated
from tests.layers.streams import CHAT_WITH_USAGE, chunk, compact
from tests.test_end_to_end import COMPLETION, JSON, PLAIN, SSE, STREAM, USER, chunked
from tests.upstream.servers import Peer, Script, eventually, ok, serving
from veneer.budgets.policy import BudgetPolicy
from veneer.layers.cost import CostMiddleware
from veneer.ledger.ledger import Ledger
from veneer.ledger.sqlite import SqliteLedger
from veneer.upstream.proxy import Upstream
from veneer.upstream.transport import PoolLimits

ALL = BudgetPolicy("1", partition="all", period="total")


def cost(ledger: Ledger) -> Middleware:
    return Middleware(
        CostMiddleware, prices=BOOK, ledger=ledger, budgets=[ALL], estimator=estimated
    )


@contextlib.asynccontextmanager
async def calling(script: Script, ledger: Ledger) -> AsyncIterator[AsyncOpenAI]:
    """Serve the stack before a scripted server, and give a client of it."""
    async with (
        serving(script) as server,
        gateway(stack_of(Upstream(server.url + "/v1"), cost(ledger))) as served,
        AsyncOpenAI(base_url=served.url, api_key="x", max_retries=0, timeout=5) as client,
    ):
        yield client


async def test_an_unmodified_client_gets_its_receipts() -> None:
    ledger = Watched()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(compact(COMPLETION), JSON))
        await peer.request()
        await peer.send(SSE, chunked(*CHAT_WITH_USAGE, b""))

    async with calling(script, ledger) as client:
        plain = await client.chat.completions.with_raw_response.create(model="small", messages=USER)
        assert plain.headers["x-cost-usd"] == "0.000011"
        usage = plain.parse().usage
        assert usage is not None
        assert usage.model_extra == {"cost": 0.000011}
        stream = await client.chat.completions.create(model="small", messages=USER, stream=True)
        *_, last = [part async for part in stream]
        assert last.choices[0].finish_reason == "stop"
        assert last.usage is not None
        assert last.usage.model_extra == {"cost": 0.000011}
    assert [end.total for end in ledger.settled] == [COST, COST]
    assert [end.target for end in ledger.settled] == ["upstream", "upstream"]


async def test_an_upstream_that_is_not_there_costs_nothing() -> None:
    ledger = Watched()
    stack = stack_of(Upstream("http://127.0.0.1:9/v1"), cost(ledger))
    async with gateway(stack) as served, Caller.to(served) as caller:
        caller.post(PLAIN)
        assert (await caller.head())[0] == 502
    assert (ledger.end.state, ledger.end.total) == ("released", 0)
    assert await ledger.stands(ALL) == (0, 0)


async def test_an_upstream_that_breaks_off_is_paid_for_what_came() -> None:
    ledger = Watched()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(chunk("a"), chunk("b")))
        peer.reset()

    async with calling(script, ledger) as client:
        stream = await client.chat.completions.create(model="small", messages=USER, stream=True)
        with pytest.raises(openai.APIError):
            async for _ in stream:
                pass
    end = ledger.end
    assert (end.state, end.estimated) == ("failed", True)
    assert end.total == (ESTIMATE.input_tokens + 2 * 2) * TOKEN


async def test_a_client_that_leaves_pays_what_came_and_frees_the_rest() -> None:
    ledger = Watched()
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(SSE, chunked(chunk("a"), chunk("b")))
        await peer.rest()
        gone.set()

    async with serving(script) as server:
        stack = stack_of(Upstream(server.url + "/v1"), cost(ledger))
        async with gateway(stack) as served, Caller.to(served) as caller:
            caller.post(STREAM)
            await caller.until(b'"b"')
            caller.leave()
            async with asyncio.timeout(5):
                await gone.wait()
            await eventually(lambda: bool(ledger.settled))
    end = ledger.end
    assert (end.state, end.total) == ("disconnected", (10 + 2 * 2) * TOKEN)
    assert await ledger.stands(ALL) == (end.total, 0)


async def test_a_client_that_leaves_before_its_call_is_sent_pays_nothing() -> None:
    ledger = Watched()
    got: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        got.append(await peer.request())
        await peer.rest()

    async with serving(script) as server:
        upstream = Upstream(server.url + "/v1", limits=PoolLimits(max_connections=1))
        async with (
            gateway(stack_of(upstream, cost(ledger))) as served,
            Caller.to(served) as first,
            Caller.to(served) as second,
        ):
            first.post(PLAIN)
            await eventually(lambda: len(got) == 1)
            second.post(PLAIN)
            await eventually(lambda: len(ledger.holds) == 2)
            second.leave()
            await eventually(lambda: bool(ledger.settled))
            assert (ledger.end.state, ledger.end.total) == ("released", 0)
            first.leave()
            await eventually(lambda: len(ledger.settled) == 2)
    assert len(got) == 1


async def test_many_at_once_are_all_in_the_file(tmp_path: Path) -> None:
    ledger = SqliteLedger(tmp_path / "ledger.db")

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(ok(compact(COMPLETION), JSON, b"connection: close"))

    async with calling(script, ledger) as client:
        answers = [client.chat.completions.create(model="small", messages=USER) for _ in range(40)]
        await asyncio.gather(*answers)
    async with ledger.lifespan():
        [balance] = await ledger.balances(ALL.accounts_for([("all", "")], None, NOW))
    assert (balance.spent, balance.held) == (40 * COST, 0)
