"""`veneer serve` in front of a model server, in processes of their own."""

import json
import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import PATIENCE, Connection, get, program
from tests.cli.upstreams import DONE, EVENT, HeldUpstream


@pytest.fixture
def upstream() -> Iterator[HeldUpstream]:
    """Run a model server that waits for the test."""
    with HeldUpstream() as running:
        yield running


def post(*, stream: bool) -> bytes:
    body = json.dumps({"model": "m", "stream": stream, "messages": [{}]}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer of-the-client\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    )


def toml(folder: Path, text: str) -> str:
    path = folder / "veneer.toml"
    path.write_text(text)
    return str(path)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


def test_calls_reach_the_upstream_with_its_key_and_leave_a_line(upstream: HeldUpstream) -> None:
    upstream.release.set()
    arguments = ["--upstream", upstream.url, "--port", "0", "--log-format", "json"]
    with program(
        "serve", "--no-auth", *arguments, "--api-key", "env:KEY", KEY="sk-upstream"
    ) as running:
        with Connection(running.port) as connection:
            connection.send(post(stream=True))
            answer = connection.until(DONE)
        line = json.loads(running.said(r'(\{"time".*\})\n'))
        assert "sk-upstream" not in running.out + running.err
    assert EVENT in answer
    assert answer.lower().count(b"\r\ndate: ") == 1
    assert b"1970" not in answer
    assert b"authorization: bearer sk-upstream" in upstream.seen[-1].lower()
    assert (line["operation"], line["upstream"]) == ("chat.completions", "upstream")
    assert line["outcome"] == "complete"


def test_readiness_follows_the_upstream(upstream: HeldUpstream) -> None:
    with program("serve", "--no-auth", "--upstream", upstream.url, "--port", "0") as running:
        assert get(running.port, "/readyz").startswith(b"HTTP/1.1 200 ")
    with program(
        "serve", "--no-auth", "--upstream", "http://127.0.0.1:9/v1", "--port", "0"
    ) as running:
        answer = get(running.port, "/readyz")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"not reachable" in answer
        assert get(running.port, "/healthz").startswith(b"HTTP/1.1 200 ")


def test_calls_under_way_are_finished_and_idle_connections_closed(upstream: HeldUpstream) -> None:
    with program("serve", "--no-auth", "--upstream", upstream.url, "--port", "0") as running:
        port = running.port
        with Connection(port) as idle, Connection(port) as busy:
            idle.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            idle.until(b"alive")
            busy.send(post(stream=True))
            busy.until(EVENT)
            running.stop()
            assert idle.rest().endswith(b"}")
            assert not accepts(port)
            upstream.release.set()
            assert busy.rest().endswith(b"0\r\n\r\n")
            assert DONE in busy.received
        assert running.wait() == 0
        assert running.err.count("\n") == 1, "nothing but what it serves"


def test_calls_that_outlast_their_grace_end_with_one_error(
    upstream: HeldUpstream, tmp_path: Path
) -> None:
    config = toml(tmp_path, f'[serve]\ngrace = 0.2\nport = 0\n[upstream]\nurl = "{upstream.url}"')
    with program("serve", "--no-auth", "--config", config) as running:
        with Connection(running.port) as stream, Connection(running.port) as plain:
            stream.send(post(stream=True))
            stream.until(EVENT)
            plain.send(post(stream=False))
            running.said("veneer serves")
            while len(upstream.seen) < 2:
                time.sleep(0.01)
            running.stop()
            events = stream.rest()
            answer = plain.rest()
        assert running.wait() == 0
        assert events.count(b"server_is_shutting_down") == 1
        assert DONE not in events
        assert not events.endswith(b"0\r\n\r\n")
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert answer.count(b"server_is_shutting_down") == 1
        assert "Traceback" not in running.err
        assert "outcome=cancelled" in running.out


def test_a_second_signal_does_not_wait(upstream: HeldUpstream) -> None:
    with program("serve", "--no-auth", "--upstream", upstream.url, "--port", "0") as running:
        with Connection(running.port) as stream:
            stream.send(post(stream=True))
            stream.until(EVENT)
            running.stop()
            while accepts(running.port):
                time.sleep(0.01)
            assert running.process.poll() is None
            running.stop(signal.SIGINT)
            assert b"server_is_shutting_down" in stream.rest()
        assert running.wait() == 0


def test_readiness_goes_before_the_listener(upstream: HeldUpstream, tmp_path: Path) -> None:
    config = toml(tmp_path, f'[serve]\ndrain = 30\nport = 0\n[upstream]\nurl = "{upstream.url}"')
    with program("serve", "--no-auth", "--config", config) as running:
        assert get(running.port, "/readyz").startswith(b"HTTP/1.1 200 ")
        running.stop()
        end = time.monotonic() + PATIENCE
        while b"shutting down" not in get(running.port, "/readyz"):
            assert time.monotonic() < end
        assert get(running.port, "/v1/models").startswith(b"HTTP/1.1 200 ")
        running.stop()
        assert running.wait() == 0


def test_a_client_that_leaves_is_no_error(upstream: HeldUpstream) -> None:
    with program("serve", "--no-auth", "--upstream", upstream.url, "--port", "0") as running:
        with Connection(running.port) as stream:
            stream.send(post(stream=True))
            stream.until(EVENT)
        assert upstream.closed.wait(PATIENCE)
        running.said("outcome=client_disconnected")
        assert "Traceback" not in running.err


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], r"\[upstream\] url is not set"),
        (["--upstream", "nonsense"], r"\[upstream\] 'nonsense' is no upstream"),
        (["--upstream", "http://x", "--port", "70000"], r"\[serve\] port must be a whole number"),
        (["--upstream", "http://x", "--workers", "0"], r"\[serve\] workers must be a whole number"),
        (["--upstream", "http://x", "--port", "x"], "argument --port: invalid int value: 'x'"),
        (["--upstream", "http://x", "--host", "203.0.113.1"], "no address of this machine"),
        (["--upstream", "http://x", "--host", "no.invalid"], "'no.invalid' is not known"),
        (["--upstream", "http://x", "--api-key", "sk-secret"], "never the secret itself"),
        (["--upstream", "http://x", "--api-key", "env:NONE_SUCH"], "NONE_SUCH is not set"),
        (["--config", "/none/veneer.toml"], "cannot be read: No such file"),
        (["--nonsense"], "the following arguments|unrecognized arguments: --nonsense"),
    ],
)
def test_what_cannot_be_started_is_refused_with_one_sentence(
    arguments: list[str], sentence: str
) -> None:
    with program("serve", "--no-auth", *arguments) as running:
        assert running.wait() == 2
        assert re.search(sentence, running.err)
        assert running.err.startswith("veneer")
        assert running.err.count("\n") == 1
        assert "sk-secret" not in running.err


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_without_keys_nothing_is_served_unless_that_is_meant(host: str) -> None:
    with program("serve", "--upstream", "http://x", "--host", host) as running:
        assert running.wait() == 2
        assert running.err.startswith("veneer: callers need keys: make the first with `veneer keys")
        assert "--no-auth" in running.err
        assert running.err.count("\n") == 1


def test_every_address_may_be_served(upstream: HeldUpstream) -> None:
    arguments = ["--upstream", upstream.url, "--port", "0", "--host", "0.0.0.0"]
    with program("serve", "--no-auth", *arguments) as running:
        assert get(running.port, "/healthz").startswith(b"HTTP/1.1 200 ")
