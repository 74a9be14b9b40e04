"""Passing a response on, part by part as it comes."""

import asyncio
import logging

from starlette.types import Receive, Scope, Send

from veneer.errors import BrokenResponseError
from veneer.upstream.failures import error_for
from veneer.upstream.forwarding import Answer
from veneer.upstream.transport import Response, TransportError
from veneer.wire import fields

logger = logging.getLogger("veneer.upstream")


async def relay(  # noqa: PLR0913, PLR0917 - what there is of a call and its answer
    response: Response, head: Answer, name: str, scope: Scope, receive: Receive, send: Send
) -> None:
    """Pass on the response of the upstream called `name`, whose header is read as `head`.

    A stream starts at once. Any other body is waited for first, so that an upstream which fails
    before it can still be answered for with a whole error. Raises `BrokenResponseError` where it
    fails later.
    """
    kind = head.content_type
    streaming = kind is not None and fields.is_event_stream(fields.media_type(kind))
    start = {"type": "http.response.start", "status": response.status, "headers": head.headers}
    body = b""
    if not (streaming or response.ended):
        try:
            body = await response.read()
        except TransportError as error:
            _log(name, error)
            await error_for(error)(scope, receive, send)
            return
    await send(start)
    if response.ended:
        await send({"type": "http.response.body", "body": body})
        return
    if body:
        await send({"type": "http.response.body", "body": body, "more_body": True})
    pumping = pump(response, send)
    try:
        # In a task of its own a part wakes that task's few frames, here those of all layers.
        await (asyncio.create_task(pumping) if streaming else pumping)
    except TransportError as error:
        _log(name, error)
        raise BrokenResponseError(str(error)) from error


async def pump(response: Response, send: Send) -> None:
    """Send the parts of a body as they come, and its end with the last of them."""
    while True:
        body = await response.read()
        more = not response.ended
        await send({"type": "http.response.body", "body": body, "more_body": more})
        if not more:
            return


def _log(name: str, error: TransportError) -> None:
    logger.warning("%s broke off: %s: %s", name, type(error).__name__, error)
