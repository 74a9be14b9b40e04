"""A batch for a model that takes none, asked for one by one."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tests.asgi import Exchange, json_request, read_body, running
from tests.layers.streams import compact
from tests.layers.test_embeddings import embeddings, packed
from tests.lint import Lint
from veneer import facts
from veneer.client import Client, ClientDisconnectedError
from veneer.errors import BrokenResponseError
from veneer.facts import Relayed, Route, Tried, Unreached, Usage
from veneer.layers._fan_out import Part, leave_facts
from veneer.layers.relay import RelayMiddleware

Headers = list[tuple[bytes, bytes]]


class Embedder:
    """An app that embeds one input a call, slower the earlier it stands in `order`.

    `failing` are the answers of inputs in place of theirs; a call to one of `held` never ends.
    """

    def __init__(self, *, failing: Any = None, held: tuple[str, ...] = ()) -> None:
        self.failing = failing or {}
        self.held = held
        self.asked: list[Any] = []
        self.bodies: list[bytes] = []
        self.scopes: list[Scope] = []
        self.running = self.most = self.cancelled = 0
        self.began = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one part."""
        self.scopes.append(scope)
        self.bodies.append(await read_body(receive))
        body = json.loads(self.bodies[-1])
        given = body["input"]
        self.asked.append(given)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            if len(self.asked) >= len(self.held):
                self.began.set()
            if given in self.held:
                await asyncio.Event().wait()
            # The later a call comes, the sooner it is answered.
            for _ in range(max(0, 200 - 4 * len(self.asked))):
                await asyncio.sleep(0)
            await self.answer(given, body, scope, send)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def answer(self, given: Any, body: Any, scope: Scope, send: Send) -> None:
        """Answer, as told for this input."""
        said = self.failing.get(str(given))
        if isinstance(said, BaseException):
            raise said
        status, content = said or (200, self.embedding(given, body))
        facts.put(scope, Route(target=str(given), status=status))
        headers: Headers = [
            (b"content-type", b"application/json"),
            (b"x-part", str(given).encode()),
        ]
        headers += [(b"content-length", b"%d" % len(content)), (b"etag", b'"x"')]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    def embedding(self, given: Any, body: Any) -> bytes:
        """Return the answer to one input: its letters."""
        vector: Any = [float(ord(letter)) for letter in str(given)]
        usage = {"prompt_tokens": len(vector), "total_tokens": len(vector)}
        row = {"object": "embedding", "index": 0, "embedding": vector}
        return compact({"object": "list", "data": [row], "model": body["model"], "usage": usage})


def fanned(app: ASGIApp, **options: Any) -> ASGIApp:
    return embeddings(app, batches="fan-out", **options)


def asked(*given: Any, **more: Any) -> Exchange:
    exchange = json_request({"model": "alone", "input": list(given), **more}, "/v1/embeddings")
    facts.open_in(exchange.scope)
    return exchange


TEXTS = [chr(97 + place) * (place + 1) for place in range(20)]


async def test_items_are_joined_in_order_and_their_usage_summed() -> None:
    app = Embedder()
    exchange = await asked(*TEXTS).run(fanned(app))
    answer = exchange.json()
    assert [row["index"] for row in answer["data"]] == list(range(20))
    assert [row["embedding"] for row in answer["data"]] == [
        [float(ord(letter)) for letter in text] for text in TEXTS
    ]
    total = sum(map(len, TEXTS))
    assert answer["usage"] == {"prompt_tokens": total, "total_tokens": total}
    assert answer["model"] == "alone"
    assert app.most == 8
    assert exchange.header("x-part") == "a"
    assert exchange.header("etag") is None
    assert exchange.header("content-length") == str(len(exchange.body))
    assert facts.get(exchange.scope, Route) == Route(target="a", status=200)
    assert facts.get(exchange.scope, Usage) == Usage(input_tokens=total, total_tokens=total)


async def test_each_part_is_a_whole_call_of_its_own() -> None:
    app = Embedder()
    exchange = asked("a", [1, 2], user="me")
    await exchange.run(fanned(app))
    for scope, body in zip(app.scopes, app.bodies, strict=True):
        assert dict(scope["headers"])[b"content-length"] == b"%d" % len(body)
        assert facts.get(scope, Client) is not facts.get(exchange.scope, Client)
    assert {"model": "alone", "input": [1, 2], "user": "me"} in map(json.loads, app.bodies)


@pytest.mark.parametrize("parallel", [1, 3, 50])
async def test_no_more_are_asked_for_at_a_time_than_may_be(parallel: int) -> None:
    app = Embedder()
    assert (await asked(*TEXTS).run(fanned(app, parallel=parallel))).status == 200
    assert app.most == min(parallel, 20)


async def test_one_item_is_one_call() -> None:
    app = Embedder()
    exchange = await asked("abc").run(fanned(app))
    assert app.asked == ["abc"]
    assert exchange.header("etag") == '"x"'


async def test_tokens_are_one_input() -> None:
    app = Embedder()
    assert (await asked(1, 2, 3).run(fanned(app))).status == 200
    assert app.asked == [[1, 2, 3]]


async def test_base64_is_written_of_every_part() -> None:
    app = Embedder()
    exchange = await asked("a", "b", encoding_format="base64").run(fanned(app, encoding="local"))
    vectors = [row["embedding"] for row in exchange.json()["data"]]
    assert vectors == [packed([97.0]), packed([98.0])]
    assert json.loads(app.bodies[0])["encoding_format"] == "float"


@pytest.mark.parametrize(
    ("given", "more", "code"),
    [
        (["a"] * 6, {}, "array_above_max_length"),
        (["a", "b"], {"user": "x" * 20_000}, "string_above_max_length"),
    ],
)
async def test_what_is_too_much_is_refused(given: Any, more: Any, code: str) -> None:
    app = Embedder()
    exchange = await asked(*given, **more).run(fanned(app, max_items=5))
    assert (exchange.status, exchange.json()["error"]["code"]) == (400, code)
    assert app.asked == []


async def test_the_first_failure_is_the_answer_and_ends_the_others() -> None:
    error = compact({"error": {"message": "no", "type": "t", "param": None, "code": None}})
    app = Embedder(failing={"b": (429, error)}, held=("a", "c"))
    exchange = await asked("a", "b", "c", "d", "e").run(fanned(app, parallel=3))
    assert (exchange.status, exchange.body) == (429, error)
    assert exchange.header("x-part") == "b"
    assert app.cancelled == 2
    assert len(app.asked) == 3
    assert facts.get(exchange.scope, Route) == Route(target="b", status=429)
    assert facts.get(exchange.scope, Usage) is None


@pytest.mark.parametrize(
    "content",
    [
        b"{}",
        b"",
        b'{"data":[]}',
        b'{"data":[{},{}]}',
        b"[" * 10_000,
        b" " * 4_200_000,
    ],
)
@pytest.mark.parametrize("place", ["a", "b"])
async def test_an_answer_that_is_not_one_vector_is_the_upstream_s_fault(
    content: bytes, place: str
) -> None:
    app = Embedder(failing={place: (200, content)})
    exchange = await asked("a", "b").run(fanned(app))
    assert exchange.status == 502


async def test_a_broken_part_is_a_broken_answer() -> None:
    app = Embedder(failing={"b": BrokenResponseError("off")})
    exchange = await asked("a", "b").run(RelayMiddleware(fanned(app)))
    assert exchange.status == 502


async def test_a_bug_below_is_a_bug() -> None:
    with pytest.raises(ZeroDivisionError):
        await asked("a", "b").run(fanned(Embedder(failing={"a": ZeroDivisionError()})))


async def test_a_part_without_an_end_is_broken() -> None:
    async def app(_scope: Scope, receive: Receive, _send: Send) -> None:
        await receive()

    with pytest.raises(BrokenResponseError):
        await asked("a", "b").run(fanned(app))


async def test_a_compressed_part_cannot_be_joined() -> None:
    async def app(_scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        headers: Headers = [(b"content-encoding", b"gzip")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"x"})

    assert (await asked("a", "b").run(fanned(app))).status == 502


async def test_a_client_that_leaves_ends_all_parts() -> None:
    app = Embedder(held=("a", "b", "c"))
    exchange = asked("a", "b", "c")
    async with running(fanned(app), exchange) as call:
        await app.began.wait()
        exchange.disconnect.set()
        await asyncio.wait_for(call, 5)
    assert app.cancelled == 3
    assert exchange.messages == []


async def test_who_stops_the_call_stops_all_parts() -> None:
    app = Embedder(held=("a", "b"))
    exchange = asked("a", "b")
    async with running(fanned(app), exchange) as call:
        await app.began.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    assert app.cancelled == 2


@pytest.mark.parametrize(("reached", "told"), [((), True), (("a",), False)])
async def test_a_call_is_unreached_only_if_all_parts_are(
    reached: tuple[str, ...],
    told: bool,  # noqa: FBT001 - what is expected
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        given = json.loads((await receive())["body"])["input"]
        if given in reached:
            facts.put(scope, Route(target="x", status=503))
        else:
            facts.put(scope, Unreached())
        await send({"type": "http.response.start", "status": 503, "headers": []})
        await send({"type": "http.response.body", "body": b"{}"})

    exchange = await asked("a", "b").run(fanned(app))
    assert (facts.get(exchange.scope, Unreached) is not None) is told


async def test_the_relay_sees_one_answer() -> None:
    exchange = await asked("a", "bb").run(RelayMiddleware(fanned(Embedder())))
    assert facts.get(exchange.scope, Usage) == Usage(input_tokens=3, total_tokens=3)
    assert facts.get(exchange.scope, Relayed) == Relayed(stream=False, observed=True, complete=True)


async def test_a_part_may_ask_whether_its_client_is_there() -> None:
    """It is for as long as the part runs: whoever leaves ends the part itself."""
    seen: list[Message] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        asking = asyncio.ensure_future(receive())
        await asyncio.sleep(0)
        asking.cancel()
        await asyncio.wait([asking])
        if not asking.cancelled():
            seen.append(asking.result())
        client = facts.get(scope, Client)
        assert client is not None
        try:
            with client.while_connected():
                await Embedder().answer("a", {"model": "m"}, scope, send)
        except ClientDisconnectedError:
            seen.append({})

    exchange = await asked("a", "b").run(Lint(fanned(app)))
    assert exchange.status == 200
    assert seen == []


def parts(*routes: Route) -> list[Part]:
    return [Part({Route: route}) for route in routes]


def test_a_batch_of_which_the_operator_pays_a_part_is_not_its_callers_own() -> None:
    own = Route(target="a", status=200, own_key=True, tried=(Tried(target="x", why="timeout"),))
    ours = Route(target="b", status=200, tried=(Tried(target="a", why="status", status=429),))
    known: dict[type, Any] = {}
    leave_facts(known, parts(own, own, ours))
    route = known[Route]
    assert (route.target, route.own_key) == ("b", False)
    assert [tried.target for tried in route.tried] == ["x", "x", "a"]

    leave_facts(known, parts(own, own))
    assert known[Route].own_key

    # The part that failed comes first, and is what is told of.
    failed = Route(target="a", status=429, own_key=True)
    leave_facts(known, parts(failed, ours))
    assert (known[Route].target, known[Route].status) == ("a", 429)
