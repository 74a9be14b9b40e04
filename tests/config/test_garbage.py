"""What a call leaves is freed with its last message, and waits for no collection of garbage."""

import asyncio
import gc
from collections.abc import Iterator
from typing import Any

import pytest

from tests.asgi import Responder, json_request
from veneer.auth.static import digest_of
from veneer.config import build, parse

KEY = b"sk-client-of-the-tests"
SETTINGS: dict[str, Any] = {
    "auth": {"keys": [{"id": "client", "digest": digest_of(KEY.decode())}]},
    "catalog": {"models": [{"id": "m", "upstream": "theirs"}]},
    "ratelimit": {
        "policies": [{"limit": "100/minute"}, {"limit": "10000/minute", "unit": "tokens"}]
    },
    "prices": {"models": [{"model": "m", "input": "1", "output": "2"}]},
    "budgets": [{"limit": "1", "partition": "key"}],
}
ANSWER = b'{"id":"a","usage":{"prompt_tokens":5,"completion_tokens":3,"total_tokens":8}}'
EVENTS = [b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n', b"data: %b\n\n" % ANSWER]
STREAM = Responder(*EVENTS, b"data: [DONE]\n\n", content_type="text/event-stream")
BROKEN = Responder(*EVENTS, content_type="text/event-stream")
FAILING = Responder(b'{"error":{"message":"no"}}', status=500)


@pytest.fixture
def _uncollected() -> Iterator[None]:
    gc.collect()
    gc.disable()
    yield
    gc.set_debug(0)
    gc.garbage.clear()
    gc.enable()


def garbage() -> list[str]:
    """Return what of ours only a collection finds."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    gc.collect()
    kinds = {type(found) for found in gc.garbage}
    return sorted(kind.__qualname__ for kind in kinds if kind.__module__.startswith("veneer"))


@pytest.mark.usefixtures("_uncollected")
@pytest.mark.parametrize("dialect", ["openai", "aurous", "auriko"])
@pytest.mark.parametrize(
    ("app", "more", "headers"),
    [
        pytest.param(Responder(ANSWER), {}, [], id="plain"),
        pytest.param(STREAM, {"stream": True}, [], id="stream"),
        pytest.param(BROKEN, {"stream": True}, [], id="broken stream"),
        pytest.param(FAILING, {}, [], id="failing"),
        pytest.param(Responder(ANSWER), {"model": "unknown"}, [], id="refused"),
        pytest.param(Responder(ANSWER), {}, [(b"idempotency-key", b"some-key-1")], id="recorded"),
    ],
)
async def test_a_call_leaves_nothing(
    dialect: str, app: Responder, more: dict[str, Any], headers: list[tuple[bytes, bytes]]
) -> None:
    stack = build(parse({**SETTINGS, "dialect": {"name": dialect}}), app)
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello!"}], **more}
    async with stack.lifespan():
        # The first call makes what stays.
        for _ in range(2):
            gc.collect()
            shown = [(b"authorization", b"Bearer " + KEY), *headers]
            asked = json_request(body, headers=shown)
            try:
                await asked.run(stack)
            except Exception:  # noqa: BLE001 - how a broken stream is cut is not what is asked here
                assert app is BROKEN
            status = asked.status
            app.scopes.clear()
            del asked
            await asyncio.sleep(0.01)
        assert status in {200, 404, 500, 502}
        assert garbage() == []
