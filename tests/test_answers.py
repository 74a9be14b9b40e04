"""Documents that we answer with by ourselves."""

import pytest
from starlette.types import Receive, Scope, Send

from tests.asgi import Exchange, http_scope
from veneer.answers import NO_STORE, ONLY_READ, send_document


async def document(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer reading with a document, and all else with an error."""
    if scope["method"] not in ("GET", "HEAD"):
        await ONLY_READ(scope, receive, send)
        return
    await send_document(scope, send, b'{"a":1}')


@pytest.mark.parametrize(("method", "body"), [("GET", b'{"a":1}'), ("HEAD", b"")])
async def test_head_has_the_header_of_get_alone(method: str, body: bytes) -> None:
    answer = await Exchange(http_scope(method)).run(document)
    assert (answer.status, answer.body) == (200, body)
    assert {(b"content-length", b"7"), NO_STORE} <= set(answer.headers)


async def test_other_methods_learn_which_there_are() -> None:
    answer = await Exchange(http_scope("PUT")).run(document)
    assert answer.status == 405
    assert (b"allow", b"GET, HEAD") in answer.headers
