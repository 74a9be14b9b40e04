"""Idempotency over real processes: duplicates over workers, workers that are killed or stopped."""

import asyncio
import random
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.cli.test_serve_limits import connections
from tests.idempotency import killing
from tests.idempotency.served import PATIENCE, Asked, CountingUpstream, ask, server
from tests.limiters.redises import own_server, until

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="reads /proc"),
    pytest.mark.timeout(120),
]

DUPLICATES = 200
MANY = 800
WORKERS = 4


@pytest.fixture(params=["sqlite", "redis"])
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    """Give the URL of a store that nobody else uses."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/recordings.db"
        return
    async with own_server(tmp_path) as redis:
        yield redis.url


async def test_many_duplicates_over_several_workers_are_one_call_with_one_answer(
    store: str, tmp_path: Path
) -> None:
    async with (
        CountingUpstream(held=True) as upstream,
        server(tmp_path / "one", upstream.url, store, workers=WORKERS) as running,
    ):
        calls = [Asked.new(stream=True), Asked.new(stream=False)]
        clients = [
            asyncio.create_task(ask(running.port, calls[index % 2]))
            for index in range(2 * DUPLICATES)
        ]

        async def all_wait() -> bool:
            return sum(connections(running)) == len(clients) and len(upstream.calls) == len(calls)

        # Nothing has been replayed so far. Who accepts a connection is the system's choice.
        await until(all_wait)
        while sum(count > 0 for count in connections(running)) < 2 and len(clients) < MANY:
            clients += [asyncio.create_task(ask(running.port, asked)) for asked in calls]
            await until(all_wait)
        assert sum(count > 0 for count in connections(running)) > 1
        upstream.release.set()
        answers = await asyncio.gather(*clients)
        for index, asked in enumerate(calls):
            found = answers[index::2]
            assert upstream.calls[asked.prompt] == 1
            seen = Counter((answer.status, answer.whole, answer.replayed) for answer in found)
            assert seen == {(200, True, True): len(found) - 1, (200, True, False): 1}
            assert len({answer.body for answer in found}) == 1
            assert len({answer.headers["x-request-id"] for answer in found}) == len(found)


@pytest.mark.parametrize("store_kind", ["sqlite", "redis"])
async def test_a_worker_that_is_killed_or_stopped_never_spoils_an_answer(
    store_kind: str, tmp_path: Path
) -> None:
    lease = 1.0
    for attempt in range(3):
        seed = secrets.randbelow(1000)
        todo = killing.moments(random.Random(seed), 5, 3, lease)  # noqa: S311 - moments
        folder = tmp_path / str(attempt)
        folder.mkdir()
        report = await killing.run(folder, todo, store_kind, lease=lease, lanes=4)
        # A file stays locked while whoever writes to it is stopped, which is seldom hit.
        if store_kind == "redis" or not report.away:
            break
    assert not report.away, f"seed {seed}"
    assert not report.faults, "\n".join([f"seed {seed}", *report.faults])
    assert report.calls == 2 * len(todo)
    assert report.slowest < lease + PATIENCE / 2
