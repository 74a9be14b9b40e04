"""`veneer serve` with prices: where calls are written if nobody says where."""

import json
import sys
from pathlib import Path

import pytest
from openai import OpenAI

from tests.cli.programs import program
from tests.cli.upstreams import demo_upstream
from veneer.cli import main
from veneer.demo import DEFAULT_MODELS

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="workers need fork")

MODEL = DEFAULT_MODELS[0].id
PRICES = """
[prices]
models = [{ model = "*", input = "1", output = "2" }]
"""


def test_workers_write_into_a_file_beside_the_configuration_which_reports_find(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "veneer.toml"
    config.write_text(PRICES)
    with demo_upstream() as upstream:
        command = ("serve", "--no-auth", "--config", str(config), "--upstream", upstream)
        with program(*command, "--workers", "2", "--port", "0") as running:
            url = f"http://127.0.0.1:{running.port}/v1"
            for _ in range(6):
                # Each on a connection of its own, so that both workers have some.
                with OpenAI(base_url=url, api_key="none", max_retries=0) as client:
                    client.chat.completions.create(
                        model=MODEL, messages=[{"role": "user", "content": "Hello!"}]
                    )
    assert (tmp_path / "veneer-ledger.db").is_file()
    capsys.readouterr()
    assert main(["usage", "--by", "model", "--config", str(config), "--json"]) == 0
    (line,) = json.loads(capsys.readouterr().out)
    assert line["calls"] == 6
    assert main(["ledger", "verify", "--config", str(config)]) == 0
