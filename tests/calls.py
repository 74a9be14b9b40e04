"""Calls read from a body, and the errors that others get."""

from typing import Any

from tests.asgi import json_request
from veneer.call import Call, read_call
from veneer.errors import Error


async def call_of(body: Any, path: str = "/v1/chat/completions", **more: Any) -> Call | Error:
    """Return what is read of this body."""
    headers = more.pop("headers", ())
    exchange = json_request(body, path, headers=headers)
    return await read_call(exchange.scope, exchange.receive, **more)


async def refused(body: Any, path: str = "/v1/chat/completions", **more: Any) -> Error:
    """Return the error that this body gets."""
    error = await call_of(body, path, **more)
    assert isinstance(error, Error)
    assert error.message.isprintable()
    return error
