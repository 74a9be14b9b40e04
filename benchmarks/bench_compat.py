"""What the layers that translate add to a call that needs no translation, by the size of its body.

In one process, without a server: the CPU time of a call of about 1, 10 and 100 KB through headers,
the gate and the relay, and what comes on top of it with `CompatMiddleware`, as it is by default,
for a chat of many messages, or with `EmbeddingsMiddleware` for one text. Neither finds anything to
do. The cases take turns.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType

from bench_layers import CALLS, TRIES, Model, differences, run
from rig.results import Column, Result, alternate, main
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import HeadersMiddleware, Middleware, OperationsMiddleware, RelayMiddleware, Stack
from veneer.layer import Layer
from veneer.layers.compat import CompatMiddleware
from veneer.layers.embeddings import EmbeddingsMiddleware

PATHS: Mapping[str, str] = MappingProxyType(
    {"chat": "/v1/chat/completions", "embedding": "/v1/embeddings"}
)
LAYERS: Mapping[str, type[Layer]] = MappingProxyType(
    {"chat": CompatMiddleware, "embedding": EmbeddingsMiddleware}
)
KILOBYTES = (1, 10, 100)
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "chat alone": "a chat without it (what the call takes itself)",
        "chat": "a chat with `CompatMiddleware`",
        "embedding alone": "an embedding without it (what the call takes itself)",
        "embedding": "an embedding with `EmbeddingsMiddleware`",
    }
)
# A message, or as much of a text, of half a kilobyte.
TEXT = 'The Danube runs through Vienna, they say, "from northwest to southeast".\n' * 6


def body_of(kind: str, kilobytes: int) -> bytes:
    """Return a call whose body has about so many kilobytes."""
    if kind == "embedding":
        return json.dumps({"input": TEXT * (2 * kilobytes), "model": "vectors"}).encode()
    messages = [
        {"role": "user" if turn % 2 == 0 else "assistant", "content": TEXT}
        for turn in range(2 * kilobytes)
    ]
    return json.dumps({"messages": messages, "model": "small", "temperature": 0.2}).encode()


def around(kind: str, *, alone: bool) -> ASGIApp:
    """Return the stack of a case, which takes any request for one of its kind."""
    layers = [Middleware(HeadersMiddleware), Middleware(OperationsMiddleware)]
    layers.append(Middleware(RelayMiddleware))
    if not alone:
        layers.append(Middleware(LAYERS[kind]))
    stack = Stack(layers, Model())
    place = {"path": PATHS[kind], "raw_path": PATHS[kind].encode()}

    async def placed(scope: Scope, receive: Receive, send: Send) -> None:
        await stack({**scope, **place}, receive, send)

    return placed


def cost(runner: asyncio.Runner, app: ASGIApp, kind: str) -> Mapping[str, float]:
    """Return what a call takes, in microseconds, by the size of its body."""
    return {
        f"kb{size}_us": min(
            runner.run(run(app, body_of(kind, size), CALLS)) * 1e6 for _ in range(TRIES)
        )
        for size in KILOBYTES
    }


def measure(*, rounds: int) -> Result:
    """Measure; each sample is what a layer adds to a call without it."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    result = Result(
        name="compat",
        doc=__doc__,
        columns=[Column(f"kb{size}_us", f"µs a call of {size} KB") for size in KILOBYTES],
        labels=dict(LABELS),
        settings={"rounds": rounds},
    )
    with asyncio.Runner(loop_factory=loop) as runner:
        cases = {}
        for kind in PATHS:
            for name in (f"{kind} alone", kind):
                app = around(kind, alone=name != kind)
                cases[name] = partial(cost, runner, app, kind)
        alternate(cases, 1, watched=False)
        whole = alternate(cases, rounds, watched=False)
    for kind in PATHS:
        result.samples[f"{kind} alone"] = whole[f"{kind} alone"]
        result.samples[kind] = differences(whole[kind], whole[f"{kind} alone"])
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=15))
