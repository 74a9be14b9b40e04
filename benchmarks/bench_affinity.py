"""What prompt-cache affinity is worth to a fleet, and what it costs a call.

Three replicas of the demo model, each a process that caches the prompts it has read and reads
40,000 tokens a second of the others, one prompt after the other. 24 conversations at a time, 72 in
all, of 6 turns each, begin with one of 36 system prompts of 16 KB; every turn sends all that was
said before, up to half a second after the last answer: to a fleet that goes by the load alone, or
by who has the prompt cached as well, or to one replica, which has all there is to have. Told are
the share of the prompts' tokens that the replicas say were cached, how many calls the busiest
replica had for one of an even share, and the time to an answer. The prompts of each round are new.

In one process, without a server: the CPU time that affinity adds to a call through a fleet of three
bare apps, with a body of 1 KB and one of 64 KB. The cases take turns.
"""

import asyncio
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import count
from random import Random
from statistics import median
from time import perf_counter, process_time
from typing import Any

import msgspec
from bench_layers import scope_of
from rig.processes import cores, free_port, python, running, until_listening
from rig.results import Bar, Column, Result, alternate, main, median_ratio
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import RelayMiddleware
from veneer.routing.affinity import Affinity
from veneer.upstream.fleet import Fleet
from veneer.upstream.proxy import Upstream

REPLICAS = 3
CONVERSATIONS = 72
AT_A_TIME = 24
TURNS = 6
PROMPTS = 36
PROMPT = 16 * 1024
SAID = 1500
# Seconds before the next turn, at most.
PAUSE = 0.5
CALLS = 500
TRIES = 5
SIZES = {"small": 1024, "large": 64 * 1024}

LABELS = {
    "load": "by load alone",
    "affinity": "by load and affinity",
    "one": "one replica",
    "small": "a body of 1 KB",
    "large": "a body of 64 KB",
}


class Counted:
    """An upstream that counts its calls."""

    def __init__(self, url: str) -> None:
        self.app = Upstream(url)
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count a call and pass it on."""
        self.calls += 1
        await self.app(scope, receive, send)


@contextmanager
def serving() -> Iterator[list[str]]:
    """Run the replicas; give their URLs."""
    ports = [free_port() for _ in range(REPLICAS)]
    with ExitStack() as stack:
        for port in ports:
            options = ("--port", str(port), "--log-level", "warning")
            command = python("uvicorn", "rig.cached_model:app", *options)
            until_listening(stack.enter_context(running(command, cores()[1])), port)
        yield [f"http://127.0.0.1:{port}/v1" for port in ports]


async def posted(app: ASGIApp, body: bytes) -> bytes:
    """Post a chat completion; return the body of its answer."""
    waiting = [{"type": "http.request", "body": body}]
    parts: list[bytes] = []

    async def receive() -> Message:
        if not waiting:
            await asyncio.Event().wait()
        return waiting.pop()

    async def send(message: Message) -> None:
        parts.append(message.get("body", b""))

    await app(scope_of(body), receive, send)
    return b"".join(parts)


class Talk:
    """Conversations through a fleet, and what their answers tell."""

    def __init__(self, app: ASGIApp, random: Random) -> None:
        self._app = app
        self._random = random
        self._systems = [self._words(PROMPT) for _ in range(PROMPTS)]
        self._left = iter(range(CONVERSATIONS))
        self.seconds: list[float] = []
        self.tokens = 0
        self.cached = 0

    def _words(self, size: int) -> str:
        return " ".join(f"{self._random.getrandbits(24):06x}" for _ in range(size // 7))

    async def converse(self) -> None:
        """Hold one conversation after the other, as long as there are any."""
        for number in self._left:
            messages = [{"role": "system", "content": self._systems[number % PROMPTS]}]
            for _ in range(TURNS):
                await asyncio.sleep(self._random.random() * PAUSE)
                messages.append({"role": "user", "content": self._words(SAID)})
                messages.append({"role": "assistant", "content": await self._said(messages)})

    async def _said(self, messages: list[dict[str, str]]) -> str:
        body = msgspec.json.encode({"model": "veneer-demo-1", "messages": messages})
        started = perf_counter()
        answer: dict[str, Any] = msgspec.json.decode(await posted(self._app, body))
        self.seconds.append(perf_counter() - started)
        usage = answer["usage"]
        self.tokens += usage["prompt_tokens"]
        self.cached += usage["prompt_tokens_details"]["cached_tokens"]
        said: str = answer["choices"][0]["message"]["content"]
        return said


async def talked(urls: list[str], seed: int, *, affinity: bool) -> Mapping[str, float]:
    """Hold all conversations through a fleet of its own."""
    apps: list[Counted] = []

    def make(url: str) -> ASGIApp:
        apps.append(Counted(url))
        return apps[-1]

    fleet = Fleet(urls, make=make, affinity=Affinity() if affinity else None)
    # Words, not secrets.
    talk = Talk(RelayMiddleware(fleet), Random(seed))  # noqa: S311 - as said
    await asyncio.gather(*(talk.converse() for _ in range(AT_A_TIME)))
    await fleet.aclose()
    calls = [app.calls for app in apps]
    return {
        "cached": 100 * talk.cached / talk.tokens,
        "spread": max(calls) * len(calls) / sum(calls),
        "answer_ms": median(talk.seconds) * 1e3,
    }


async def nothing(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once."""
    del scope
    await receive()
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"{}"})


def bare(affinity: Affinity | None) -> Fleet:
    """Return a fleet of apps that do nothing."""
    urls = [f"http://{number}.test" for number in range(REPLICAS)]
    return Fleet(urls, make=lambda _url: nothing, affinity=affinity)


def added(runner: asyncio.Runner, size: int) -> Mapping[str, float]:
    """Return what affinity adds to a call whose body has this size."""
    content = "The same words again. " * (size // 22)
    body = msgspec.json.encode({"model": "m", "messages": [{"role": "user", "content": content}]})

    async def spent(fleet: Fleet) -> float:
        started = process_time()
        for _ in range(CALLS):
            await posted(fleet, body)
        return (process_time() - started) / CALLS * 1e6

    fleets = bare(None), bare(Affinity())
    best = [min(runner.run(spent(fleet)) for _ in range(TRIES)) for fleet in fleets]
    return {"added_us": best[1] - best[0]}


def measure(*, rounds: int) -> Result:
    """Measure."""
    result = Result(
        name="affinity",
        doc=__doc__,
        columns=[
            Column("cached", "% of tokens cached"),
            Column("spread", "busiest, of an even share", digits=2),
            Column("answer_ms", "ms to an answer"),
            Column("added_us", "µs that affinity adds"),
        ],
        labels=dict(LABELS),
        settings={"rounds": rounds},
    )
    seeds = count(1)
    with asyncio.Runner() as runner, serving() as urls:

        def through(urls: list[str], *, affinity: bool) -> Mapping[str, float]:
            return runner.run(talked(urls, next(seeds), affinity=affinity))

        cases: dict[str, Callable[[], Mapping[str, float]]] = {
            "load": partial(through, urls, affinity=False),
            "affinity": partial(through, urls, affinity=True),
            "one": partial(through, urls[:1], affinity=False),
            **{name: partial(added, runner, size) for name, size in SIZES.items()},
        }
        result.samples = alternate(cases, rounds, watched=False)
    cached = median_ratio(result.samples, "affinity", "one", "cached")
    spread = median(result.samples["affinity"]["spread"])
    large = median(result.samples["large"]["added_us"])
    result.bars = [
        Bar("cached tokens with affinity, of those of one replica", cached, at_least=0.95),
        Bar("the busiest replica with affinity, of an even share", spread, at_most=1.25),
        Bar("affinity, a body of 64 KB", large, at_most=60, unit=" µs", digits=1),
    ]
    return result


if __name__ == "__main__":
    sys.exit(main(measure, rounds=5))
