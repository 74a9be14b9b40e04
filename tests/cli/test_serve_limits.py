"""`veneer serve` with rate limits: real processes, real sockets, the unmodified `openai` client."""

import contextlib
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.cli.programs import Program, program
from tests.cli.upstreams import demo_upstream
from veneer.demo import DEFAULT_MODELS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc; workers need fork")

MODEL = DEFAULT_MODELS[0].id
USER: Any = [{"role": "user", "content": "Hello!"}]
# The time is for slow machines: a limiter that is late is counted without.
POLICIES = """
[ratelimit]
timeout = 10.0

[[ratelimit.policies]]
limit = "{requests}/day"
partition = "peer"

[[ratelimit.policies]]
unit = "tokens"
limit = "100000/day"
partition = "all"

[[ratelimit.policies]]
unit = "concurrent-requests"
limit = 64
partition = "all"
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    """Serve a demo model."""
    with demo_upstream() as url:
        yield url


def serve(folder: Path, upstream: str, *, requests: int) -> tuple[str, ...]:
    config = folder / "veneer.toml"
    config.write_text(POLICIES.format(requests=requests))
    return (
        *("serve", "--no-auth", "--config", str(config), "--upstream", upstream),
        *("--workers", "2", "--port", "0"),
    )


def client_of(running: Program) -> OpenAI:
    url = f"http://127.0.0.1:{running.port}/v1"
    return OpenAI(api_key="none", base_url=url, max_retries=0)


def connections(running: Program) -> list[int]:
    """Return how many clients are connected to each worker."""
    pid = running.process.pid
    lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    ours = {
        f"socket:[{inode}]"
        for _, local, _, state, _, _, _, _, _, inode, *_ in lines
        if state == "01" and int(local.split(":")[1], 16) == running.port
    }
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [sum(file in ours for file in open_files(child)) for child in children]


def open_files(pid: str) -> Iterator[str]:
    """Yield what a process has open, but for what it closes meanwhile."""
    for file in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield str(file.readlink())


def test_a_client_is_told_of_its_limit_and_refused_beyond_it(tmp_path: Path, upstream: str) -> None:
    with program(*serve(tmp_path, upstream, requests=2)) as running, client_of(running) as client:
        create = client.chat.completions.with_raw_response.create
        told = create(model=MODEL, messages=USER, max_tokens=100).headers
        assert told["x-ratelimit-limit-requests"] == "2"
        assert told["x-ratelimit-remaining-requests"] == "1"
        assert int(told["x-ratelimit-remaining-tokens"]) < 100_000 - 100
        stream = create(model=MODEL, messages=USER, stream=True)
        assert stream.headers["x-ratelimit-remaining-requests"] == "0"
        assert list(stream.parse())
        with pytest.raises(openai.RateLimitError) as caught:
            client.chat.completions.create(model=MODEL, messages=USER)
        headers = caught.value.response.headers
        assert caught.value.code == "rate_limit_exceeded"
        assert 43_000 < int(headers["retry-after"]) <= 43_200
        assert headers["x-should-retry"] == "false"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        assert headers["x-ratelimit-reset-requests"].startswith(("23h59m", "24h"))
        # What both calls used in truth is far below what was taken for them.
        assert int(headers["x-ratelimit-remaining-tokens"]) > 100_000 - 200


def test_the_limit_holds_over_all_workers_exactly(tmp_path: Path, upstream: str) -> None:
    limit, callers, calls = 40, 16, 6
    with program(*serve(tmp_path, upstream, requests=limit)) as running:

        def caller(_: int) -> tuple[int, OpenAI]:
            client, admitted = client_of(running), 0
            for _ in range(calls):
                try:
                    client.chat.completions.create(model=MODEL, messages=USER, max_tokens=8)
                    admitted += 1
                except openai.RateLimitError:
                    pass
            return admitted, client

        with ThreadPoolExecutor(callers) as pool:
            found = list(pool.map(caller, range(callers)))
        served = connections(running)
        for _, client in found:
            client.close()
        assert sum(admitted for admitted, _ in found) == limit
        assert len(served) == 2
        assert min(served) > 0, "both workers have served"
