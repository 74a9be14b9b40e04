"""`veneer demo`, as a user meets it."""

import re
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
from collections.abc import Iterator

import pytest
from openai import OpenAI

from tests.cli.programs import Connection, Program, get, program


@pytest.fixture(scope="module")
def demo() -> Iterator[Program]:
    """Run the demo for the tests of this module."""
    with program("demo", "--port", "0", "--prompt-cache", "--prefill-tps", "1e6") as running:
        running.said("Ctrl-C")
        yield running


def snippet(text: str, begin: str, end: str) -> str:
    """Return a part of the greeting as a user would copy it."""
    return textwrap.dedent(text[text.index(begin) : text.index(end)].strip("\n"))


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_the_curl_command_of_the_greeting_works(demo: Program) -> None:
    command = snippet(demo.out, "    curl", "or with Python")
    done = subprocess.run(
        ["/bin/sh", "-c", command], capture_output=True, text=True, timeout=20, check=True
    )
    assert done.stdout.count("data: ") > 3
    assert done.stdout.endswith("data: [DONE]\n\n")
    assert done.stdout.count('"cost":0.') == 1, "it has a receipt"


def test_the_python_of_the_greeting_works(demo: Program) -> None:
    code = snippet(demo.out, "    from openai", "What calls have cost")
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=25, check=True
    )
    assert done.stdout.strip()


def test_a_long_prompt_is_cached_the_second_time(demo: Program) -> None:
    cached = []
    with OpenAI(base_url=f"http://127.0.0.1:{demo.port}/v1", api_key=key_of(demo)) as client:
        for _ in range(2):
            answer = client.chat.completions.create(
                model="veneer-demo-1", messages=[{"role": "user", "content": "Hello! " * 500}]
            )
            assert answer.usage is not None
            assert answer.usage.prompt_tokens_details is not None
            cached.append(answer.usage.prompt_tokens_details.cached_tokens or 0)
    assert cached[0] == 0 < cached[1]


@pytest.mark.parametrize("speed", ["0", "nan", "fast"])
def test_a_speed_that_cannot_be_is_refused(speed: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "veneer", "demo", "--prefill-tps", speed],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 2
    assert "--prefill-tps" in done.stderr
    assert speed in done.stderr


def test_the_report_of_the_greeting_tells_what_calls_have_cost(demo: Program) -> None:
    client = OpenAI(base_url=f"http://127.0.0.1:{demo.port}/v1", api_key=key_of(demo))
    with client:
        client.chat.completions.create(
            model="veneer-demo-1", messages=[{"role": "user", "content": "Hello!"}]
        )
    command = snippet(demo.out, "    veneer usage", "Ctrl-C").split()[1:]
    done = subprocess.run(
        [sys.executable, "-m", "veneer", *command, "--json"],
        capture_output=True,
        text=True,
        timeout=25,
        check=True,
    )
    assert "veneer-demo-1" in done.stdout


def key_of(demo: Program) -> str:
    """Return the key of the greeting."""
    return demo.said(r"\n    (vnr_\w+)\n")


def test_its_key_is_needed(demo: Program) -> None:
    assert get(demo.port, "/v1/models").startswith(b"HTTP/1.1 401 ")
    assert get(demo.port, "/v1/models", key=key_of(demo)).startswith(b"HTTP/1.1 200 ")
    assert get(demo.port, "/v1/models", key=key_of(demo) + "0").startswith(b"HTTP/1.1 401 ")


def test_each_call_leaves_a_line_under_the_greeting(demo: Program) -> None:
    answer = get(demo.port, "/v1/models?key=secret", key=key_of(demo))
    assert answer.startswith(b"HTTP/1.1 200 ")
    line = demo.said(
        r"\n(time=\S+ request_id=req_\S+ method=GET operation=models .*status=200.*)\n"
    )
    assert key_of(demo) not in line
    assert "secret" not in demo.out + demo.err


def test_probes_are_answered_and_not_logged(demo: Program) -> None:
    for path in ("/healthz", "/readyz"):
        assert get(demo.port, path).startswith(b"HTTP/1.1 200 ")
    assert "healthz" not in demo.out


def test_our_own_server_fields_stand_once(demo: Program) -> None:
    head = get(demo.port, "/v1/models").partition(b"\r\n\r\n")[0].lower()
    assert head.count(b"\r\ndate: ") == 1
    assert b"\r\nserver: " not in head


def test_a_port_that_is_taken_is_refused_when_it_was_asked_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with program("demo", "--port", str(port)) as running:
            assert running.wait() == 2
            assert running.err == (
                f"veneer: port {port} on 127.0.0.1 is in use: stop what uses it, "
                "or give another --port.\n"
            )


def test_without_a_port_a_free_one_is_found() -> None:
    try:
        taken = socket.create_server(("127.0.0.1", 8080))
    except OSError:
        taken = socket.socket()
    with taken, program("demo") as running:
        assert running.port != 8080
        assert get(running.port, "/healthz").startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_no_complaint(number: signal.Signals) -> None:
    with program("demo", "--port", "0") as running:
        with Connection(running.port) as idle:
            idle.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
            idle.until(b"alive")
            running.stop(number)
            assert re.fullmatch(rb"HTTP/1.1 200 .*\}", idle.rest(), re.DOTALL)
        assert running.wait() == 0
        assert running.err == ""
