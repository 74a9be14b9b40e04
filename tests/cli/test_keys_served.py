"""Keys that are made by a command and shown to a server, each in processes of their own."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest

from tests.cli.programs import Program, get, program
from tests.cli.upstreams import HeldUpstream
from tests.stores.databases import postgresql_schema

PEPPER = "p" * 64
# Seconds within which a revocation is felt everywhere.
FELT = 5.0


@pytest.fixture(params=["sqlite", "postgresql"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Give the URL of an empty store."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/keys.db"
    else:
        with postgresql_schema() as url:
            yield url


@pytest.fixture
def upstream() -> Iterator[HeldUpstream]:
    """Run a model server that answers at once."""
    with HeldUpstream() as running:
        running.release.set()
        yield running


def keys(store: str, *arguments: str) -> str:
    """Run `veneer keys` and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", "veneer", "keys", *arguments, "--store", store],
        env={**os.environ, "VENEER_PEPPER": PEPPER},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def calls(running: Program, key: str, count: int) -> list[bool]:
    """Return which of several calls, each on a connection of its own, were let through."""
    answers = [get(running.port, "/v1/models", key=key) for _ in range(count)]
    return [answer.startswith(b"HTTP/1.1 200 ") for answer in answers]


def test_a_key_works_from_its_making_until_its_revocation(
    store: str, upstream: HeldUpstream
) -> None:
    made = json.loads(keys(store, "create", "--name", "me", "--json"))
    key = made["secret"]
    arguments = ["--upstream", upstream.url, "--port", "0", "--workers", "2", "--store", store]
    with program("serve", *arguments, VENEER_PEPPER=PEPPER) as running:
        client = openai.OpenAI(
            base_url=f"http://127.0.0.1:{running.port}/v1", api_key=key, max_retries=0
        )
        with client:
            assert client.models.list().data == []
        assert not any(b"authorization" in head.lower() for head in upstream.seen)
        assert all(calls(running, key, 8))
        assert not any(calls(running, key[:-1], 2))
        rotated = keys(store, "rotate", made["id"], "--quiet").strip()
        assert all(calls(running, rotated, 4))
        assert all(calls(running, key, 4))
        keys(store, "revoke", made["id"])
        revoked = time.monotonic()
        while any(calls(running, key, 4)):
            assert time.monotonic() - revoked < FELT
            time.sleep(0.05)
        assert not any(calls(running, key, 16))
        with (
            openai.OpenAI(
                base_url=f"http://127.0.0.1:{running.port}/v1", api_key=key, max_retries=0
            ) as client,
            pytest.raises(openai.AuthenticationError),
        ):
            client.models.list()
        assert all(calls(running, rotated, 4))
        assert key not in running.out + running.err
        assert rotated not in running.out + running.err
        assert PEPPER not in running.out + running.err


def test_without_its_pepper_a_store_is_not_served(tmp_path: Path) -> None:
    arguments = ["--upstream", "http://x", "--store", f"sqlite:///{tmp_path}/k.db"]
    with program("serve", *arguments, "--pepper", "env:NO_SUCH") as running:
        assert running.wait() == 2
        assert "NO_SUCH is not set: make one with `openssl rand -hex 32`" in running.err
        assert running.err.count("\n") == 1


def test_no_auth_turns_off_what_is_configured(upstream: HeldUpstream, tmp_path: Path) -> None:
    config = tmp_path / "veneer.toml"
    config.write_text('[auth]\nstore = "sqlite:///k.db"\n')
    arguments = ["--config", str(config), "--upstream", upstream.url, "--port", "0"]
    with program("serve", *arguments, "--no-auth") as running:
        assert get(running.port, "/v1/models").startswith(b"HTTP/1.1 200 ")


def test_sql_is_loaded_only_for_a_store_that_needs_it() -> None:
    code = (
        "import sys\n"
        "from veneer.cli import serve\n"
        "from veneer.config import build, parse\n"
        "key = {'id': 'a', 'digest': '0' * 64}\n"
        "build(parse({'auth': {'keys': [key]}, 'upstream': {'url': 'http://x'}}))\n"
        "print({'sqlalchemy', 'jwt', 'httpx'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
