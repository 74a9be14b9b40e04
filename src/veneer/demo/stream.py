"""The sending of a response body that comes piece by piece."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import anyio
from starlette.types import Message, Receive, Send


async def send_stream(
    start: Message, pieces: AsyncGenerator[bytes, None], receive: Receive, send: Send
) -> None:
    """Send `start`, each piece at once, and the end of the body.

    Ends early, and without a final message, when the client goes: on `http.disconnect`, even
    between two pieces, or when `send` raises OSError (ASGI HTTP spec 2.4). Any other exception
    is the caller's, as it was raised.
    """
    try:
        async with anyio.create_task_group() as group:

            async def leave_with_the_client() -> None:
                await _disconnected(receive)
                group.cancel_scope.cancel()

            group.start_soon(leave_with_the_client)
            await _send_pieces(start, pieces, send)
            group.cancel_scope.cancel()
    except ExceptionGroup as failures:
        # Of two tasks one only waits, and a caller expects the very exception that its `send` or
        # `receive` raised.
        failure = failures.exceptions[0]
        raise failure from failure.__cause__


async def _send_pieces(start: Message, pieces: AsyncGenerator[bytes, None], send: Send) -> None:
    try:
        async with aclosing(pieces):
            await send(start)
            async for piece in pieces:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
    except OSError:
        return


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
