"""Asking an app for its models, in process."""

import asyncio

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer.catalog.asking import MOST, asking
from veneer.catalog.discovery import UnlistedError
from veneer.errors import BrokenResponseError


def answering(status: int, *parts: bytes) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": status, "headers": []})
        for part in parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body"})

    return app


def raising(failure: Exception) -> ASGIApp:
    async def app(_scope: Scope, _receive: Receive, _send: Send) -> None:
        raise failure

    return app


async def test_who_watches_for_the_client_waits_as_it_never_leaves() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        first: Message = await receive()
        second = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        assert first == {"type": "http.request", "body": b"", "more_body": False}
        assert not second.done()
        second.cancel()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    assert await asking(app)() == b"{}"


@pytest.mark.parametrize(
    ("deed", "said"),
    [
        (answering(503, b"{}"), "it answers with status 503"),
        (answering(200, *[b" " * (MOST // 2)] * 3), "its answer is longer than 8388608 bytes"),
        (raising(BrokenResponseError("cut")), "its answer broke off: cut"),
        (raising(ConnectionRefusedError("refused")), "its answer broke off: refused"),
    ],
)
async def test_what_is_no_list_is_said_for_the_operators_log(deed: ASGIApp, said: str) -> None:
    with pytest.raises(UnlistedError, match=said):
        await asking(deed)()


async def test_a_bug_of_the_app_is_raised() -> None:
    with pytest.raises(KeyError):
        await asking(raising(KeyError("bug")))()
