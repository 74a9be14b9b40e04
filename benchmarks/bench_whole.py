"""What the whole stack takes: a plain call, an event of a stream, a replay, a refusal.

In one process, without a server: the full stack that `veneer serve` makes of a `veneer.toml` (keys
in a store, limits of requests, tokens and running calls, idempotency, a catalog, prices, budgets, a
ledger in an SQLite file, receipts), 32 calls at a time. CPU time, of all threads (the ledger and
the store of keys have one each), and that of the loop alone. Of a plain call and of an event, what
a bare app takes itself is taken off; replays and refusals never come to it. The cases take turns.
"""

import asyncio
import json
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from functools import partial
from statistics import median

from rig import whole
from rig.completion import COMPLETION, REQUEST
from rig.full import SPENT_KEY
from rig.results import Bar, Column, Plot, Result, alternate, main
from rig.sse import END, event
from starlette.types import ASGIApp, Scope

# Events of a short and of a long stream: their difference is what events cost.
FEW, MANY = 8, 136
CALLS = 320
STREAMS = 64
# The best of these is the sample, for whatever else happens only adds to it.
TRIES = 3

STREAMED = json.dumps({**json.loads(REQUEST), "stream": True}).encode()
UNKNOWN = json.dumps({**json.loads(REQUEST), "model": "unknown"}).encode()

LABELS = {
    "plain": "a plain call",
    "event": "an event of a stream",
    "replay": "a replay from memory",
    "401": "a refusal: no key (401)",
    "429": "a refusal: no requests left (429)",
    "404": "a refusal: no such model (404)",
}


def best(  # noqa: PLR0913, PLR0917 - whom to call how often, and what for
    loop: asyncio.Runner, app: ASGIApp, scope: Scope, body: bytes, times: int, status: int = 200
) -> tuple[float, float]:
    """Return the least of several tries, in microseconds a call: of all threads, of the loop."""
    tries = [loop.run(whole.calls(app, scope, body, times, status=status)) for _ in range(TRIES)]
    return min(every for every, _ in tries) * 1e6, min(own for _, own in tries) * 1e6


def call(
    loop: asyncio.Runner, app: ASGIApp, scope: Scope, body: bytes, status: int = 200
) -> Mapping[str, float]:
    """Return what a call takes."""
    every, own = best(loop, app, scope, body, CALLS, status)
    return {"cpu_us": every, "loop_us": own}


def plain(loop: asyncio.Runner, app: ASGIApp, bare: ASGIApp) -> Mapping[str, float]:
    """Return what a plain call takes on top of a bare app."""
    scope = whole.scope_of(REQUEST)
    found, base = call(loop, app, scope, REQUEST), call(loop, bare, scope, REQUEST)
    return {metric: found[metric] - base[metric] for metric in found}


def of_events(
    loop: asyncio.Runner, stacks: tuple[ASGIApp, ASGIApp], bares: tuple[ASGIApp, ASGIApp]
) -> Mapping[str, float]:
    """Return what an event takes, from a short and a long stream."""
    scope = whole.scope_of(STREAMED)

    def each(short: ASGIApp, long: ASGIApp) -> tuple[float, float]:
        few = best(loop, short, scope, STREAMED, STREAMS)
        many = best(loop, long, scope, STREAMED, STREAMS)
        return (many[0] - few[0]) / (MANY - FEW), (many[1] - few[1]) / (MANY - FEW)

    found, base = each(*stacks), each(*bares)
    return {"cpu_us": found[0] - base[0], "loop_us": found[1] - base[1]}


def measure(*, rounds: int) -> Result:
    """Measure all of them in turns."""
    result = Result(
        name="whole",
        doc=__doc__,
        columns=[
            Column("cpu_us", "µs of CPU", digits=2),
            Column("loop_us", "of it in the loop's thread", digits=2),
        ],
        labels=dict(LABELS),
        settings={"rounds": rounds, "calls": CALLS, "events": MANY, "at once": whole.AT_ONCE},
        plots=[Plot("whole", "What the full stack takes", "cpu_us", "µs of CPU", list(LABELS))],
    )
    events = [event(index) for index in range(MANY)]
    bare = whole.Model(b"application/json", [COMPLETION])
    streams = [whole.Model(b"text/event-stream", [*events[:count], END]) for count in (FEW, MANY)]
    with ExitStack() as held:
        loop = held.enter_context(whole.runner())
        app, short, long = (
            held.enter_context(whole.around(each, loop)) for each in (bare, *streams)
        )
        refused = whole.scope_of(REQUEST, key=None)
        spent = whole.scope_of(REQUEST, key=SPENT_KEY)
        loop.run(whole.calls(app, spent, REQUEST, 1))
        again = whole.scope_of(REQUEST, idempotency_key="once-and-again")
        cases = {
            "plain": partial(plain, loop, app, bare),
            "event": partial(of_events, loop, (short, long), (streams[0], streams[1])),
            "replay": partial(call, loop, app, again, REQUEST),
            "401": partial(call, loop, app, refused, REQUEST, 401),
            "429": partial(call, loop, app, spent, REQUEST, 429),
            "404": partial(call, loop, app, whole.scope_of(UNKNOWN), UNKNOWN, 404),
        }
        alternate(cases, 1, watched=False)
        result.samples = alternate(cases, rounds, watched=False)
    result.bars = [
        Bar(
            f"the whole stack, {LABELS[name]}",
            median(result.samples[name]["cpu_us"]),
            at_most=most,
            unit=" µs",
            digits=1,
        )
        for name, most in {"plain": 55, "event": 3}.items()
    ]
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=9))
