"""The README says what is so: its code runs, its tables are the code's, its commands are ours."""

import asyncio
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp

from tests import readme
from tests.asgi import json_request
from tests.dialects.served import CHAT, served
from veneer.cli.arguments import parser
from veneer.cli.shared import shared_by_workers
from veneer.config import build, parse
from veneer.lifetime import lifespan

CI = Path(__file__).parent.parent / ".ci" / "run"


def test_the_tables_are_those_of_the_code() -> None:
    text = readme.README.read_text()
    assert text == readme.made(text), "run: python -m tests.readme"


def run(code: str) -> ASGIApp:
    """Run a block of Python, and return the app that it makes."""
    namespace: dict[str, Any] = {}
    exec(compile(code, "README.md", "exec"), namespace)  # noqa: S102 - the README's own code
    app: ASGIApp = namespace["app"]
    return app


async def test_the_stack_of_the_first_screen_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "sk-mine")
    first, *_ = readme.blocks("python")
    app = run(first)
    key = (b"authorization", b"Bearer sk-mine")
    exchange = json_request({"model": "m", "messages": []}, headers=[key])
    async with asyncio.timeout(10):
        await exchange.run(app)
    assert exchange.status in (502, 504)
    assert exchange.header("x-request-id") == exchange.json()["error"]["request_id"]


async def test_the_limits_shown_are_held() -> None:
    [code] = [block for block in readme.blocks("python") if "QuotaPolicy" in block]
    app = run(code)
    for path, limit in (("/v1/chat/completions", "60"), ("/v1/embeddings", "600")):
        exchange = json_request({"model": "m"}, path)
        async with asyncio.timeout(10):
            await exchange.run(app)
        assert exchange.header("x-ratelimit-limit-requests") == limit


async def test_the_keys_shown_are_looked_at(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    [code] = [block for block in readme.blocks("python") if "open_recording_store" in block]
    app = run(code)
    for key, statuses in ((b"two words", (400,)), (b"word", (502, 504))):
        exchange = json_request({"model": "m"}, headers=[(b"idempotency-key", key)])
        async with asyncio.timeout(10), lifespan(app):
            await exchange.run(app)
        assert exchange.status in statuses
    assert (tmp_path / "answers.db").exists()


async def test_the_prices_shown_are_charged() -> None:
    [code] = [block for block in readme.blocks("python") if "PriceBook" in block]
    app = run(code)
    for model, status in (("small-1", (502, 504)), ("large", (400,))):
        async with asyncio.timeout(10):
            exchange = await json_request({"model": model}).run(app)
        assert exchange.status in status


async def test_the_targets_shown_are_asked() -> None:
    [code] = [block for block in readme.blocks("python") if "Router(" in block]
    app = run(code)
    async with asyncio.timeout(20):
        exchange = await json_request({"model": "small", "messages": []}).run(app)
    assert exchange.status in (502, 503, 504)
    assert exchange.header("x-should-retry") == "false"


def test_the_client_shown_is_told_what_a_call_was(capsys: pytest.CaptureFixture[str]) -> None:
    [code] = [block for block in readme.blocks("python") if "veneer.sdk" in block]
    with served({"name": "auriko"}) as stack:
        for given, mine in (
            ("http://127.0.0.1:8080/v1", stack.url),
            ("sk-...", stack.key),
            ('model="small"', f'model="{CHAT}"'),
        ):
            assert given in code
            code = code.replace(given, mine)
        exec(compile(code, "README.md", "exec"), {})  # noqa: S102 - the README's own code
    said = capsys.readouterr().out
    assert "('req_" in said
    assert "provider='demo'" in said


def test_the_configuration_shown_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("UPSTREAM_API_KEY", "sk-test")
    monkeypatch.setenv("EAST_API_KEY", "sk-east")
    monkeypatch.setenv("VENEER_PEPPER", "0" * 64)
    for block in readme.blocks("toml"):
        with shared_by_workers(parse(tomllib.loads(block))) as config:
            build(config)


def test_every_veneer_command_shown_is_one() -> None:
    commands = [
        line.rpartition("&&")[2].strip().removeprefix(".venv/bin/")
        for block in readme.blocks("sh")
        for line in block.splitlines()
    ]
    shown = [shlex.split(command) for command in commands if command.startswith("veneer ")]
    assert {command[1] for command in shown} == {"demo", "serve", "keys"}
    for command in shown:
        parser().parse_args(command[1:])


def test_continuous_integration_runs_the_command_that_is_shown() -> None:
    assert "<!-- tests -->" in CI.read_text()
    after = readme.README.read_text().partition("<!-- tests -->\n```sh\n")[2]
    assert "pytest" in after.partition("\n```")[0]
