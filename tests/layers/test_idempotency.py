"""Idempotency over the demo server: a key runs its call once."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send

from tests.asgi import Exchange, Responder, json_request, running
from tests.lint import Lint
from veneer.demo import DemoServer
from veneer.idempotency.opening import open_recording_store
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.relay import RelayMiddleware


class Counted:
    """A model server that counts what it is asked, and waits where it is told to."""

    def __init__(self) -> None:
        self.server = DemoServer()
        self.calls = 0
        self.called = asyncio.Event()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer like the demo server, in time."""
        self.calls += 1
        self.called.set()
        await self.may_answer.wait()
        await self.server(scope, receive, send)


class Served:
    """A stack with a model server below."""

    def __init__(self, **options: Any) -> None:
        self.model = Counted()
        self.keyed = IdempotencyMiddleware(
            RelayMiddleware(Lint(self.model)), share="all", **options
        )
        self.app = HeadersMiddleware(ErrorMiddleware(self.keyed))

    async def ask(self, key: bytes | None = b"k", **members: Any) -> Exchange:
        """Ask for a chat, and return the answer."""
        return await asked(key, **members).run(self.app)


@pytest.fixture
def served() -> Served:
    return Served()


def asked(key: bytes | None = b"k", **members: Any) -> Exchange:
    """Return the exchange of a chat under a key."""
    body = {"model": "veneer-demo-1", "messages": [{"role": "user", "content": "Hello"}], **members}
    headers = [] if key is None else [(b"idempotency-key", key)]
    return json_request(body, headers=headers)


def domain(exchange: Exchange) -> set[tuple[bytes, bytes]]:
    """Return the fields of an answer but those of a request of its own."""
    own = {b"x-request-id", b"server-timing", b"openai-processing-ms", b"idempotent-replayed"}
    return {(name, value) for name, value in exchange.headers if name not in own}


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retry_gets_the_same_answer_and_nothing_is_called(
    served: Served, *, stream: bool
) -> None:
    first = await served.ask(stream=stream)
    again = await served.ask(b'"k"', stream=stream)

    assert served.model.calls == 1
    assert first.status == again.status == 200
    assert first.ended
    assert again.ended
    assert first.body == again.body
    assert len(first.body) > 100
    assert domain(first) == domain(again)
    assert first.header("idempotent-replayed") is None
    assert again.header("idempotent-replayed") == "true"
    assert first.header("x-request-id") != again.header("x-request-id")


async def test_without_a_key_each_call_is_made(served: Served) -> None:
    for _ in range(2):
        assert (await served.ask(None)).status == 200
    assert served.model.calls == 2


async def test_the_spelling_of_a_request_makes_no_difference(served: Served) -> None:
    await served.ask(temperature=1)
    body = (
        b'{"temperature": 1.0,"messages":[{"content":"H\\u0065llo","role":"user"}],'
        b'"model":"veneer-demo-1"}'
    )
    again = await json_request(body, headers=[(b"idempotency-key", b"k")]).run(served.app)
    assert again.status == 200
    assert again.header("idempotent-replayed") == "true"
    assert served.model.calls == 1


async def test_a_different_request_under_the_same_key_is_refused(served: Served) -> None:
    await served.ask()
    other = await served.ask(temperature=0.5)
    assert other.status == 422
    assert other.json()["error"]["code"] == "idempotency_key_reused"
    assert other.header("x-should-retry") == "false"
    assert served.model.calls == 1


@pytest.mark.parametrize("values", [[b""], [b"a", b"a"], [b"a\x01"], [b"x" * 256]])
async def test_what_is_no_key_is_refused(served: Served, values: list[bytes]) -> None:
    headers = [(b"idempotency-key", value) for value in values]
    answer = await json_request({"model": "veneer-demo-1"}, headers=headers).run(served.app)
    assert answer.status == 400
    assert "Idempotency-Key" in answer.json()["error"]["message"]
    assert served.model.calls == 0


async def test_a_failure_is_not_kept(served: Served) -> None:
    for calls in (1, 2):
        answer = await served.ask(model="none")
        assert answer.status == 404
        assert answer.header("idempotent-replayed") is None
        assert served.model.calls == calls


@pytest.mark.parametrize("stream", [False, True])
async def test_duplicates_follow_the_call_in_flight(served: Served, *, stream: bool) -> None:
    served.model.may_answer.clear()
    exchanges = [asked(stream=stream) for _ in range(20)]
    tasks = [asyncio.create_task(exchange.run(served.app)) for exchange in exchanges]
    await served.model.called.wait()
    served.model.may_answer.set()
    await asyncio.gather(*tasks)

    assert served.model.calls == 1
    assert len({exchange.body for exchange in exchanges}) == 1
    assert [exchange.header("idempotent-replayed") for exchange in exchanges] == [
        None,
        *["true"] * 19,
    ]
    if not stream:
        assert json.loads(exchanges[7].body)["object"] == "chat.completion"


async def test_a_client_that_leaves_finds_the_answer_when_it_comes_back(served: Served) -> None:
    served.model.may_answer.clear()
    left = asked(stream=True)
    async with running(served.app, left):
        await served.model.called.wait()
        left.disconnect.set()
        await asyncio.sleep(0.05)
    served.model.may_answer.set()
    again = await served.ask(stream=True)
    assert again.status == 200
    assert again.body.endswith(b"data: [DONE]\n\n")
    assert served.model.calls == 1


async def test_a_conflict_is_answered_by_option() -> None:
    served = Served(in_flight="conflict")
    served.model.may_answer.clear()
    async with running(served.app, asked()) as first:
        await served.model.called.wait()
        second = await served.ask()
        assert second.status == 409
        assert second.header("retry-after") == "1"
        served.model.may_answer.set()
        assert (await first).status == 200
    assert (await served.ask()).header("idempotent-replayed") == "true"


async def test_streams_are_left_alone_by_option() -> None:
    served = Served(streams="ignore")
    for calls in (1, 2):
        answer = await served.ask(stream=True)
        assert answer.status == 200
        assert answer.header("idempotency-status") == "ignored_streaming"
        assert served.model.calls == calls


async def test_a_replay_has_no_limits_of_the_past() -> None:
    limits = [
        (b"x-ratelimit-remaining-requests", b"9"),
        (b"ratelimit", b'"p";r=9'),
        (b"x-kept", b"1"),
    ]
    model = Responder(b"{}", headers=[*limits, (b"date", b"then"), (b"set-cookie", b"a=1")])
    keyed = IdempotencyMiddleware(RelayMiddleware(model), share="all")
    first, again = [await asked().run(HeadersMiddleware(keyed)) for _ in range(2)]
    assert first.header("ratelimit") is not None
    assert again.header("idempotent-replayed") == "true"
    assert again.header("x-kept") == "1"
    for name in ("x-ratelimit-remaining-requests", "ratelimit", "date", "set-cookie"):
        assert again.header(name) is None


async def test_an_answer_outlasts_the_process_in_a_file(tmp_path: Path) -> None:
    answers = []
    for calls in (1, 0):
        store = open_recording_store(f"sqlite:///{tmp_path}/recordings.db")
        served = Served(store=store)
        async with store.lifespan():
            answers.append(await served.ask(stream=True))
        assert served.model.calls == calls
    assert answers[0].body == answers[1].body
    assert answers[1].header("idempotent-replayed") == "true"
