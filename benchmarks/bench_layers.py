"""What each layer adds to a call, and to an event of a stream.

In one process, without a server: the time that a bare app takes for a small completion and for each
event of a stream, then with the base class of all layers around it (which opens the facts and owns
the client), then with one layer more at a time, in the order of the stack. What the whole stack
adds is the sum. CPU time; the cases take turns.
"""

import asyncio
import json
import logging
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from itertools import pairwise
from time import process_time
from types import MappingProxyType
from typing import Any

from rig.completion import COMPLETION, PATH, REQUEST
from rig.results import Column, Result, alternate, main
from rig.sse import END, event
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import (
    AuthMiddleware,
    ErrorMiddleware,
    HeadersMiddleware,
    HeartbeatMiddleware,
    Layer,
    Middleware,
    OperationsMiddleware,
    Principal,
    RelayMiddleware,
    Stack,
)
from veneer.auth.static import StaticKeys, digest_of
from veneer.layers.log import LogMiddleware

# Events of a short and of a long stream: their difference is what events cost.
FEW, MANY = 8, 136
CALLS = 100
STREAMS = 4
# The best of these is the sample, for whatever else happens only adds to it.
TRIES = 5

LAYERS = (
    Layer,
    HeadersMiddleware,
    LogMiddleware,
    HeartbeatMiddleware,
    ErrorMiddleware,
    AuthMiddleware,
    OperationsMiddleware,
    RelayMiddleware,
)
KEY = "sk-benchmark"
# The model that is asked for, and answers.
NAME = "small-model"
ME = Principal(id="me", scopes=frozenset({"write"}))
OPTIONS: Mapping[type, Mapping[str, Any]] = MappingProxyType(
    {AuthMiddleware: {"verifier": StaticKeys([(digest_of(KEY), ME)])}}
)
WHOLE = "stack"

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "bare": "bare app (what it takes itself)",
        "Layer": "facts and client, opened by the outermost layer",
        **{f"{cls.__name__}": f"`{cls.__name__}`" for cls in LAYERS[1:]},
        WHOLE: "all of them",
    }
)

EVENTS = [event(index) for index in range(MANY)]


class Model:
    """A bare app: reads its request, answers with a completion or with so many events.

    `name` is the name of the model that it says.
    """

    def __init__(self, events: int | None = None, *, name: str = NAME) -> None:
        bodies = [COMPLETION] if events is None else [*EVENTS[:events], END]
        *self._parts, self._last = [body.replace(NAME.encode(), name.encode()) for body in bodies]
        self._kind = b"application/json" if events is None else b"text/event-stream"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        await receive()
        headers = [(b"content-type", self._kind)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for part in self._parts:
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": self._last})


def scope_of(body: bytes) -> Scope:
    """Return the scope of a call, with the fields that openai-python sends."""
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
        "headers": [
            (b"host", b"127.0.0.1:8000"),
            (b"accept-encoding", b"gzip, deflate"),
            (b"connection", b"keep-alive"),
            (b"accept", b"application/json"),
            (b"content-type", b"application/json"),
            (b"user-agent", b"OpenAI/Python 3.0.0"),
            (b"x-stainless-lang", b"python"),
            (b"x-stainless-retry-count", b"0"),
            (b"authorization", b"Bearer " + KEY.encode()),
            (b"content-length", b"%d" % len(body)),
        ],
        "state": {},
    }


async def run(app: ASGIApp, body: bytes, times: int) -> float:
    """Call an app; return the CPU seconds that one call took."""
    template = scope_of(body)
    message: Message = {"type": "http.request", "body": body, "more_body": False}
    last: Message = {}

    async def receive() -> Message:
        return message

    async def send(message: Message) -> None:
        nonlocal last
        last = message

    started = process_time()
    for _ in range(times):
        await app(dict(template), receive, send)
    took = process_time() - started
    if last.get("more_body", False) or not last.get("body"):
        raise RuntimeError("the app does not answer")
    return took / times


def cost(runner: asyncio.Runner, apps: Mapping[str, ASGIApp]) -> Mapping[str, float]:
    """Return what a plain call and an event take, in microseconds."""
    streamed = json.dumps({**json.loads(REQUEST), "stream": True}).encode()

    def best(app: str, body: bytes, times: int) -> float:
        return min(runner.run(run(apps[app], body, times)) for _ in range(TRIES))

    few = best("few", streamed, STREAMS * 4)
    many = best("many", streamed, STREAMS)
    return {
        "call_us": best("plain", REQUEST, CALLS) * 1e6,
        "event_us": (many - few) / (MANY - FEW) * 1e6,
    }


def stacks() -> Iterator[tuple[str, Callable[[ASGIApp], ASGIApp]]]:
    """Yield what stands around the app: nothing, then one layer more at a time."""
    yield "bare", lambda app: app
    layers: list[Middleware] = []
    for cls in LAYERS:
        if cls is not Layer:
            layers.append(Middleware(cls, **OPTIONS.get(cls, {})))
        yield cls.__name__, partial(Stack, layers[:] or [Middleware(Layer)])


@contextmanager
def discarded_log() -> Iterator[None]:
    """Let log lines be made and written, to nowhere."""
    logger = logging.getLogger("veneer.access")
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123 - a device
        handler = logging.StreamHandler(nowhere)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
        try:
            yield
        finally:
            logger.removeHandler(handler)


def measure(*, rounds: int) -> Result:
    """Measure; each sample is what one layer adds to those before it."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    result = Result(
        name="layers",
        doc=__doc__,
        columns=[
            Column("call_us", "µs a plain call"),
            Column("event_us", "µs an event", digits=2),
        ],
        labels=dict(LABELS),
        settings={"rounds": rounds, "calls": CALLS, "events": MANY},
    )
    with asyncio.Runner(loop_factory=loop) as runner, discarded_log():
        cases = {
            name: partial(
                cost,
                runner,
                {
                    "plain": around(Model()),
                    "few": around(Model(FEW)),
                    "many": around(Model(MANY)),
                },
            )
            for name, around in stacks()
        }
        alternate(cases, 1, watched=False)
        whole = alternate(cases, rounds, watched=False)
    names = list(cases)
    result.samples = {"bare": whole["bare"]}
    for before, name in pairwise(names):
        result.samples[name] = differences(whole[name], whole[before])
    result.samples[WHOLE] = differences(whole[names[-1]], whole["bare"])
    return result


def differences(
    with_it: Mapping[str, list[float]], without: Mapping[str, list[float]]
) -> dict[str, list[float]]:
    """Return what came on top, round by round."""
    return {
        metric: [value - base for value, base in zip(values, without[metric], strict=True)]
        for metric, values in with_it.items()
    }


if __name__ == "__main__":
    sys.exit(main(measure, rounds=15))
