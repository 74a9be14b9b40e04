"""The health layer."""

import asyncio

import pytest

from tests.asgi import Exchange, Responder, http_scope
from tests.clock import Clock
from veneer.layers.health import HealthMiddleware


class Upstream:
    """Says whether it is ready, and counts how often it is asked."""

    def __init__(self, *, ready: bool = True) -> None:
        self.ready = ready
        self.asked = 0
        self.held = asyncio.Event()
        self.held.set()

    async def reachable(self) -> bool:
        """Answer, once nothing holds it back."""
        self.asked += 1
        await self.held.wait()
        return self.ready


async def probe(layer: HealthMiddleware, path: str = "/readyz", method: str = "GET") -> Exchange:
    return await Exchange(http_scope(method, path)).run(layer)


async def test_a_live_process_says_so_even_when_its_upstream_is_gone() -> None:
    layer = HealthMiddleware(Responder(b"app"), ready=Upstream(ready=False).reachable)
    answer = await probe(layer, "/healthz")
    assert (answer.status, answer.json()) == (200, {"status": "alive"})


async def test_readiness_follows_the_upstream() -> None:
    upstream = Upstream()
    layer = HealthMiddleware(Responder(b"app"), ready=upstream.reachable, ttl=0)
    assert (await probe(layer)).json() == {"status": "ready"}
    upstream.ready = False
    answer = await probe(layer)
    assert answer.status == 503
    assert answer.json() == {"status": "unavailable", "reason": "the upstream is not reachable"}


async def test_an_answer_is_kept_for_its_time_and_no_longer() -> None:
    upstream, clock = Upstream(), Clock(100.0)
    layer = HealthMiddleware(Responder(b"app"), ready=upstream.reachable, ttl=2, clock=clock)
    for _ in range(3):
        await probe(layer)
    assert upstream.asked == 1
    clock.now += 2
    await probe(layer)
    assert upstream.asked == 2


async def test_probes_at_one_time_ask_once() -> None:
    upstream = Upstream()
    upstream.held.clear()
    layer = HealthMiddleware(Responder(b"app"), ready=upstream.reachable)
    probes = [asyncio.create_task(probe(layer)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    probes[0].cancel()
    upstream.held.set()
    answers = await asyncio.gather(*probes, return_exceptions=True)
    assert [answer.status for answer in answers if isinstance(answer, Exchange)] == [200] * 4
    assert upstream.asked == 2, "the first probe left before its answer; the second asked again"


async def test_an_upstream_that_does_not_answer_in_time_is_not_ready() -> None:
    upstream = Upstream()
    upstream.held.clear()
    layer = HealthMiddleware(Responder(b"app"), ready=upstream.reachable, timeout=0.01)
    assert (await probe(layer)).status == 503


async def test_while_draining_nothing_is_ready_and_all_is_alive() -> None:
    layer = HealthMiddleware(Responder(b"app"))
    assert (await probe(layer)).status == 200
    layer.drain()
    answer = await probe(layer)
    assert (answer.status, answer.json()["reason"]) == (503, "shutting down")
    assert (await probe(layer, "/healthz")).status == 200


async def test_a_probe_by_head_gets_no_body() -> None:
    answer = await probe(HealthMiddleware(Responder(b"app")), method="HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.header("content-length") == "18"


@pytest.mark.parametrize("path", ["/", "/v1/chat/completions", "/healthz/", "/v1/readyz"])
async def test_everything_else_passes(path: str) -> None:
    answer = await probe(HealthMiddleware(Responder(b"app")), path)
    assert answer.body == b"app"


@pytest.mark.parametrize("options", [{"ttl": -1}, {"timeout": 0}])
def test_times_that_cannot_be_are_refused(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="give seconds"):
        HealthMiddleware(Responder(b"app"), **options)  # type: ignore[arg-type]  # floats all
