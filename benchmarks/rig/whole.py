"""The full stack in this process: the layers of a `veneer.toml`, as `veneer serve` stacks them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from importlib import import_module
from importlib.util import find_spec
from time import process_time, thread_time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rig import full
from rig.completion import CLIENT_KEY, PATH
from rig.proxies import body_of, lifespan
from veneer.config import Config, build, load

# So many calls are under way at a time, as a ledger is meant to be used.
AT_ONCE = 32

# Seconds for what became due between two samples to be done.
SETTLED = 0.02


class Model:
    """A bare app: reads its request, answers with these parts."""

    def __init__(self, kind: bytes, parts: list[bytes]) -> None:
        *self._parts, self._last = parts
        self._headers = [(b"content-type", kind)]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        await body_of(receive)
        await send({"type": "http.response.start", "status": 200, "headers": self._headers})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": self._last})


@contextmanager
def runner() -> Iterator[asyncio.Runner]:
    """Give a loop of the kind that serves."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    with asyncio.Runner(loop_factory=loop) as found:
        yield found


@contextmanager
def around(
    app: ASGIApp, loop: asyncio.Runner, change: Callable[[Config], Config] = lambda config: config
) -> Iterator[ASGIApp]:
    """Give the full stack around an app, with its stores in new files, while it lives.

    `change` makes another of its configuration.
    """
    with ExitStack() as held:
        stores = held.enter_context(full.in_files())
        given = held.enter_context(full.configured("http://127.0.0.1:1", stores))
        whole = build(change(load(given.config)), app)
        living = _alive(whole)
        loop.run(living.__aenter__())
        held.callback(lambda: loop.run(living.__aexit__(None, None, None)))
        yield whole


@asynccontextmanager
async def _alive(app: ASGIApp) -> AsyncIterator[None]:
    told: asyncio.Queue[Message] = asyncio.Queue()
    said: asyncio.Queue[Message] = asyncio.Queue()
    scope = {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}}
    task = asyncio.ensure_future(app(scope, told.get, said.put))
    for event in ("startup", "shutdown"):
        await told.put({"type": f"lifespan.{event}"})
        answer = await said.get()
        if answer["type"] != f"lifespan.{event}.complete":
            raise RuntimeError(f"the stack says {answer}")
        if event == "startup":
            yield
    await task


def scope_of(body: bytes, *, key: str | None = CLIENT_KEY, **fields: str) -> Scope:
    """Return the scope of a call, with the fields that openai-python sends, and more.

    Names of those have `_` for a hyphen.
    """
    headers = {
        "host": "127.0.0.1:8000",
        "accept-encoding": "gzip, deflate",
        "connection": "keep-alive",
        "accept": "application/json",
        "content-type": "application/json",
        "user-agent": "OpenAI/Python 3.0.0",
        "x-stainless-lang": "python",
        "x-stainless-retry-count": "0",
        "content-length": str(len(body)),
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    if key is not None:
        headers["authorization"] = f"Bearer {key}"
    return {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "server": ("127.0.0.1", 8000),
        "client": ("127.0.0.1", 50000),
        "scheme": "http",
        "method": "POST",
        "root_path": "",
        "path": PATH,
        "raw_path": PATH.encode(),
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        "state": {},
    }


async def calls(
    app: ASGIApp, scope: Scope, body: bytes, times: int, *, status: int = 200
) -> tuple[float, float]:
    """Make calls; return the CPU seconds of each: of all threads, and of the loop's own.

    Raises RuntimeError where an answer has another status.
    """
    await asyncio.sleep(SETTLED)
    staying: asyncio.Future[Message] = asyncio.get_running_loop().create_future()
    seen = set()

    async def send(message: Message) -> None:
        if "status" in message:
            seen.add(message["status"])

    async def one_after_the_other(count: int) -> None:
        for _ in range(count):
            left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

            async def receive(left: list[Message] = left) -> Message:
                return left.pop() if left else await asyncio.shield(staying)

            await app({**scope, "state": {}}, receive, send)

    at_once = min(AT_ONCE, times)
    began = process_time(), thread_time()
    await asyncio.gather(*(one_after_the_other(times // at_once) for _ in range(at_once)))
    ended = process_time(), thread_time()
    if seen != {status}:
        raise RuntimeError(f"the app answers {seen}")
    each = times // at_once * at_once
    return (ended[0] - began[0]) / each, (ended[1] - began[1]) / each
