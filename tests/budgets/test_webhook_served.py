"""The webhook on real connections, with receivers that behave and receivers that do not."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.budgets.crossings import crossing
from tests.upstream.servers import Peer, Script, Server, eventually, ok, serving
from veneer.budgets.webhook import ThresholdWebhook
from veneer.wire.signing import key_of, signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


async def posted(peer: Peer) -> tuple[dict[str, str], bytes]:
    """Read a request; return its fields, and its body."""
    lines = (await peer.head()).decode().split("\r\n")
    assert lines[0] == "POST /hook HTTP/1.1"
    fields = dict(line.split(": ", 1) for line in lines[1:-2])
    headers = {name.lower(): value for name, value in fields.items()}
    body = b""
    while len(body) < int(headers["content-length"]):
        body += await peer.take(65536)
    return headers, body


def answering(*answers: bytes) -> Script:
    """Return a script that answers one connection after the other, each of these once."""
    left = list(answers)

    async def script(peer: Peer) -> None:
        await posted(peer)
        await peer.send(left.pop(0))

    return script


@asynccontextmanager
async def told(script: Script, *, limit: float = 20.0, tries: int = 1) -> AsyncIterator[Server]:
    """Serve a script while its server is told of a crossing, within so many seconds a try."""
    async with serving(script) as server:
        webhook = ThresholdWebhook(
            f"{server.url}/hook", SECRET, timeout=limit, pauses=(0.01,) * (tries - 1)
        )
        async with webhook.lifespan():
            webhook(crossing())
            yield server
            await eventually(lambda: not webhook._errands._tasks)


async def test_a_receiver_can_verify_what_it_reads() -> None:
    found: list[tuple[dict[str, str], bytes]] = []

    async def script(peer: Peer) -> None:
        found.append(await posted(peer))
        await peer.send(ok())

    async with told(script):
        pass
    [(headers, body)] = found
    assert headers["webhook-signature"] == signature(
        key_of(SECRET), headers["webhook-id"], int(headers["webhook-timestamp"]), body
    )
    assert json.loads(body)["type"] == "budget.threshold_reached"
    assert headers["host"].startswith("127.0.0.1:")


async def test_one_that_fails_is_asked_again(caplog: pytest.LogCaptureFixture) -> None:
    script = answering(b"HTTP/1.1 500 Oops\r\ncontent-length: 0\r\n\r\n", b"", ok())
    async with told(script, tries=5) as server:
        await eventually(lambda: server.connections == 3)
    assert server.connections == 3
    assert caplog.messages == []


async def silent(peer: Peer) -> None:
    await posted(peer)
    await peer.rest()


async def dripping(peer: Peer) -> None:
    """Send fields for ever, slowly, so that no single wait is long."""
    await posted(peer)
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    while True:
        await peer.send(b"x: y\r\n")
        await asyncio.sleep(0.02)


async def waiting_for_ever(peer: Peer) -> None:
    """Send answers that are not the last, for ever."""
    await posted(peer)
    while True:
        await peer.send(b"HTTP/1.1 103 Early Hints\r\n\r\n")
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("script", [silent, dripping, waiting_for_ever])
async def test_one_that_never_answers_is_left(
    script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    async with told(script, limit=0.3):
        pass
    [message] = caplog.messages
    assert message.endswith("no answer within 0.3 seconds")


async def test_of_a_body_without_end_nothing_is_read(caplog: pytest.LogCaptureFixture) -> None:
    gone = asyncio.Event()

    async def script(peer: Peer) -> None:
        await posted(peer)
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n")
        try:
            while True:
                await peer.send(bytes(65536))
        except ConnectionError:
            gone.set()

    async with told(script):
        async with asyncio.timeout(10):
            await gone.wait()
    assert caplog.messages == []


async def test_a_redirect_is_not_followed(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(answering(ok())) as elsewhere:
        location = b"location: " + elsewhere.url.encode()
        answer = b"HTTP/1.1 307 Over there\r\n%s\r\ncontent-length: 0\r\n\r\n" % location
        async with told(answering(answer), tries=3) as server:
            pass
        assert (server.connections, elsewhere.connections) == (1, 0)
    [message] = caplog.messages
    assert message.endswith("status 307, and redirects are not followed")


async def test_what_is_no_http_is_given_up_and_not_quoted(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        async with told(answering(*[b"SSH-2.0-evil\nline\r\n\r\n"] * 2), tries=2) as server:
            await eventually(lambda: server.connections == 2)
    [message] = caplog.messages
    assert message.endswith("it could not be sent (RemoteProtocolError)")


async def test_nobody_listens(caplog: pytest.LogCaptureFixture) -> None:
    async with serving(answering()) as server:
        url = server.url
    webhook = ThresholdWebhook(url, pauses=(0.01,))
    async with webhook.lifespan():
        webhook(crossing())
        await eventually(lambda: caplog.messages != [])
    [message] = caplog.messages
    assert message.endswith("it could not be sent (ConnectError)")
