"""Replicas that break off their answers."""

import pytest

from tests.asgi import json_request
from tests.clock import Clock
from tests.upstream.servers import Peer, eventually, serving
from veneer.errors import BrokenResponseError
from veneer.upstream._dns import Place
from veneer.upstream._replicas import BREAKS, Replica
from veneer.upstream.fleet import Fleet

BEGUN = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    b"a\r\ndata: {}\n\n\r\n"
)
WHOLE = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


async def app(_scope: object, _receive: object, _send: object) -> None:
    """Answer nobody."""


def test_one_answer_after_the_other_that_breaks_off_makes_a_replica_rest() -> None:
    replica = Replica(Place("http://a"), app, fleet="local", clock=Clock())
    for _ in range(BREAKS):
        assert not replica.breaker.away
        replica.ended(whole=False)
    assert replica.breaker.away


def test_a_whole_answer_between_them_makes_them_chance() -> None:
    replica = Replica(Place("http://a"), app, fleet="local", clock=Clock())
    for _ in range(3 * BREAKS):
        replica.ended(whole=False)
        replica.ended(whole=True)
    assert not replica.breaker.away


async def test_a_replica_whose_streams_all_break_off_is_passed_over() -> None:
    broken = whole = 0

    async def breaks(peer: Peer) -> None:
        nonlocal broken
        await peer.request()
        broken += 1
        await peer.send(BEGUN)

    async def answers(peer: Peer) -> None:
        nonlocal whole
        while True:
            await peer.request()
            whole += 1
            await peer.send(WHOLE)

    async with serving(breaks) as bad, serving(answers) as good:
        fleet = Fleet([bad.url, good.url], clock=Clock())
        for _ in range(4 * BREAKS):
            exchange = json_request({"model": "m"})
            try:
                await exchange.run(fleet)
            except BrokenResponseError:
                assert exchange.status == 200
        assert broken == BREAKS
        assert whole == 3 * BREAKS
        await eventually(lambda: fleet.outstanding == 0)
        await fleet.aclose()


@pytest.mark.parametrize("whole", [True, False])
def test_what_ends_while_a_replica_rests_is_no_trial(*, whole: bool) -> None:
    replica = Replica(Place("http://a"), app, fleet="local", clock=Clock())
    for _ in range(BREAKS):
        replica.ended(whole=False)
    before = replica.breaker.rest
    replica.ended(whole=whole)
    assert replica.breaker.away
    assert replica.breaker.rest == before
