"""Budgets of a server that runs: asked for by its callers, set by a command beside it."""

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest
from openai import OpenAI

from tests.cli.programs import PATIENCE, get, program
from tests.cli.upstreams import demo_upstream
from veneer.cli import main
from veneer.demo import DEFAULT_MODELS

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="workers need fork")

MODEL = DEFAULT_MODELS[0].id
USER: Any = [{"role": "user", "content": "Hello!"}]
CONFIG = """
[cost]
ledger = "sqlite:///ledger.db"

[[prices.models]]
model = "*"
input = "1"
output = "1"

[[budgets]]
name = "ours"
limit = "20"
partition = "all"
period = "total"
disclosed = true
"""


@pytest.fixture(scope="module")
def upstream() -> Iterator[str]:
    with demo_upstream() as url:
        yield url


def test_a_limit_that_a_command_sets_holds_the_next_call_of_every_worker(
    tmp_path: Path, upstream: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "veneer.toml"
    config.write_text(CONFIG)
    place = ["--config", str(config)]
    serve = ["serve", "--no-auth", "--upstream", upstream, "--port", "0", "--workers", "2", *place]

    def balance() -> Any:
        """Return the balance once all calls are settled, which is soon after they are answered."""
        end = time.monotonic() + PATIENCE
        while True:
            told = json.loads(get(running.port, "/v1/balance").partition(b"\r\n\r\n")[2])
            if told["budgets"][0]["held"] == 0 or time.monotonic() > end:
                return told
            time.sleep(0.01)

    with program(*serve) as running:
        url = f"http://127.0.0.1:{running.port}/v1"

        def call() -> None:
            # Each on a connection of its own, so that each worker has some.
            with OpenAI(api_key="none", base_url=url, max_retries=0) as client:
                client.chat.completions.create(model=MODEL, messages=USER, max_tokens=8)

        assert balance()["available"] == 20
        for _ in range(4):
            call()
        [told] = balance()["budgets"]
        assert 0 < told["spent"] < 0.001

        assert main(["budgets", "set", "ours", "0.000001", *place]) == 0
        for _ in range(8):
            with pytest.raises(openai.RateLimitError) as refused:
                call()
            assert refused.value.code == "credit_balance_exhausted"
            assert refused.value.type == "insufficient_quota"
        assert balance()["available"] < 0

        assert main(["budgets", "clear", "ours", *place]) == 0
        for _ in range(4):
            call()
        balance()
        capsys.readouterr()
        assert main(["budgets", "list", "--json", *place]) == 0
        [line] = json.loads(capsys.readouterr().out)
        assert (line["name"], line["limit"], line["limit_set"]) == ("ours", "20", False)
        assert float(line["spent"]) == pytest.approx(2 * told["spent"])
