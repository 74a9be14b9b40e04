"""Asking an app for its models, in process."""

import asyncio

from starlette.types import Message, Receive, Scope, Send

from veneer.catalog.asking import asking


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
