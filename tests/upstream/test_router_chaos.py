"""Three targets of which one fails in every way that there is, now and then."""

import asyncio
import random
from http import HTTPStatus

from starlette.types import Receive, Scope, Send

from tests.asgi import json_request
from tests.limiters import virtual
from tests.upstream.targets import (
    DONE,
    EVENT,
    USAGE,
    Deed,
    Scripted,
    answers,
    hangs,
    refuses,
    streams,
)
from veneer.routing.preferences import Optimize, Preferences
from veneer.routing.target import Target
from veneer.upstream.router import Router

CALLS = 1500
AT_A_TIME = 30
SHARE = 0.3

GOOD = streams(EVENT % b"hi", USAGE, DONE, wait=0.02)
FAILURES: tuple[Deed, ...] = (
    refuses,
    answers(b'{"error":{}}', 500),
    answers(b'{"error":{}}', 503),
    streams(b": busy\n\n", ends=False),
    streams(),
    hangs,
)


def failing(share: float, chance: random.Random) -> Deed:
    async def deed(scope: Scope, receive: Receive, send: Send) -> None:
        chosen = chance.choice(FAILURES) if chance.random() < share else GOOD
        await chosen(scope, receive, send)

    return deed


async def load(router: Router, calls: int) -> list[bool]:
    """Make so many calls; return which of them had their answer."""
    room = asyncio.Semaphore(AT_A_TIME)

    async def one() -> bool:
        async with room:
            exchange = await json_request({"model": "m", "stream": True}).run(router)
            return exchange.status == HTTPStatus.OK and exchange.body.endswith(DONE)

    return await asyncio.gather(*(one() for _ in range(calls)))


def fleet(optimize: Optimize, seed: int) -> tuple[Router, list[Scripted]]:
    chance = random.Random(seed)  # noqa: S311 - seeded, to fail alike each time
    apps = [Scripted(failing(SHARE, chance)), Scripted(GOOD), Scripted(GOOD)]
    router = Router(
        [Target(name=name, app=app) for name, app in zip("abc", apps, strict=True)],
        preferences=Preferences(optimize=optimize),
        try_timeout=1.0,
        random=chance.random,
        clock=asyncio.get_running_loop().time,
    )
    return router, apps


def test_calls_are_answered_although_one_target_of_three_fails_often() -> None:
    async def main() -> None:
        wanted: tuple[Optimize, ...] = ("cost", "ttft", "balanced")
        for seed, optimize in enumerate(wanted):
            router, apps = fleet(optimize, seed)
            done = await load(router, CALLS)

            assert sum(done) >= 0.999 * CALLS
            asked = [len(app.bodies) for app in apps]
            assert asked[0] < min(asked[1:])
            # The tries are no more than what the failures cost.
            assert sum(asked) <= CALLS * (1 + SHARE)

    virtual.run(main())


def test_a_target_that_has_recovered_is_asked_again() -> None:
    async def main() -> None:
        router, apps = fleet("cost", 7)
        apps[0].deeds = [refuses]
        assert all(await load(router, CALLS))
        assert len(apps[0].bodies) < CALLS / 10

        apps[0].deeds = [GOOD]
        await asyncio.sleep(300)
        await load(router, CALLS)
        await asyncio.sleep(300)
        before = len(apps[0].bodies)
        await load(router, CALLS)
        assert len(apps[0].bodies) - before > CALLS / 10

    virtual.run(main())
