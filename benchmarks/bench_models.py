"""What the catalog of models adds to a call, and to an event of a stream.

In one process, without a server: the CPU time of a small completion, and of each event of a stream,
through headers, the gate and the relay, and what comes on top of it with `ModelsMiddleware` above
the relay, which knows the model under the name that is asked for, or as an alias of another: then
the request is changed, and the answer, which has the other name, shows the one that was asked for.
The cases take turns.
"""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from statistics import median
from types import MappingProxyType
from typing import Any, Literal

from bench_layers import FEW, MANY, NAME, Model, cost, differences, discarded_log
from rig.results import Bar, Column, Result, alternate, main
from starlette.types import ASGIApp

from veneer import HeadersMiddleware, Middleware, OperationsMiddleware, RelayMiddleware, Stack
from veneer.catalog.model import Model as Listed
from veneer.layers.models import ModelsMiddleware

WITHOUT = "without"
RIGHT = "resolved"
# Whatever is known of a model has to be looked for in the request.
KNOWN: Mapping[str, Any] = MappingProxyType(
    {
        "kind": "chat",
        "context_window": 128_000,
        "output_cap": 16_000,
        "capabilities": frozenset({"tools", "streaming", "json_object", "json_schema"}),
    }
)
MODELS: Mapping[str, Listed] = MappingProxyType(
    {
        "name": Listed(id=NAME),
        "alias": Listed(id="small-model-2026-11", aliases=(NAME,)),
        RIGHT: Listed(id="small-model-2026-11", aliases=(NAME,)),
        "guarded": Listed(id="small-model-2026-11", aliases=(NAME,), **KNOWN),
    }
)
LABELS: Mapping[str, str] = MappingProxyType(
    {
        WITHOUT: "without a catalog (what the call takes itself)",
        "name": "a model by its own name",
        "alias": "an alias",
        RIGHT: "an alias, and the answer is to have the name that it has",
        "guarded": "an alias of a model of which much is known",
    }
)


def around(name: str, events: int | None = None) -> ASGIApp:
    """Return the stack of a case, around a model server that says the name that it has of it."""
    layers = [Middleware(HeadersMiddleware), Middleware(OperationsMiddleware)]
    if name == WITHOUT:
        return Stack([*layers, Middleware(RelayMiddleware)], Model(events))
    model = MODELS[name]
    show: Literal["requested", "resolved"] = "resolved" if name == RIGHT else "requested"
    layers.append(Middleware(ModelsMiddleware, models=[model], show=show))
    return Stack([*layers, Middleware(RelayMiddleware)], Model(events, name=model.id))


def measure(*, rounds: int) -> Result:
    """Measure; each sample is what the catalog adds to a call without one."""
    loop = import_module("uvloop").new_event_loop if find_spec("uvloop") else None
    result = Result(
        name="models",
        doc=__doc__,
        columns=[
            Column("call_us", "µs a plain call"),
            Column("event_us", "µs an event", digits=2),
        ],
        labels=dict(LABELS),
        settings={"rounds": rounds},
    )
    with asyncio.Runner(loop_factory=loop) as runner, discarded_log():
        cases = {
            name: partial(
                cost,
                runner,
                {
                    "plain": around(name),
                    "few": around(name, FEW),
                    "many": around(name, MANY),
                },
            )
            for name in LABELS
        }
        alternate(cases, 1, watched=False)
        whole = alternate(cases, rounds, watched=False)
    result.samples = {WITHOUT: whole[WITHOUT]}
    for name in MODELS:
        result.samples[name] = differences(whole[name], whole[WITHOUT])
    alias = result.samples["alias"]
    result.bars = [
        Bar("an alias, a plain call", median(alias["call_us"]), at_most=5, unit=" µs", digits=1),
        Bar("an alias, an event", median(alias["event_us"]), at_most=1, unit=" µs"),
    ]
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=15))
