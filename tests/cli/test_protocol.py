"""What clients that speak bad HTTP, or none, meet at `veneer serve`."""

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.programs import Connection, Program, get, program
from tests.cli.upstreams import HeldUpstream

CONFIG = """
[serve]
port = 0
header_timeout = 0.4
keepalive = 1
max_header = 4096
max_url = 1000
[upstream]
url = "{url}"
"""

GET = b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n"


@pytest.fixture(scope="module")
def server() -> Iterator[Program]:
    """Serve with narrow bounds for the tests of this module."""
    with HeldUpstream() as upstream, tempfile.TemporaryDirectory() as folder:
        upstream.release.set()
        path = Path(folder) / "veneer.toml"
        path.write_text(CONFIG.format(url=upstream.url))
        with program("serve", "--no-auth", "--config", str(path)) as running:
            yield running


def refused(answer: bytes) -> tuple[int, str]:
    """Return the status and the message of a refusal, its form checked."""
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert fields[b"connection"] == b"close"
    assert fields[b"content-type"] == b"application/json; charset=utf-8"
    assert int(fields[b"content-length"]) == len(body)
    error = json.loads(body)["error"]
    assert error["request_id"].encode() == fields[b"x-request-id"]
    return int(head.split()[1]), error["message"]


def test_a_header_that_dribbles_is_cut(server: Program) -> None:
    with Connection(server.port) as connection:
        started = time.monotonic()
        for byte in GET[:-2]:
            connection.send(bytes([byte]))
        status, message = refused(connection.rest())
        assert 0.3 < time.monotonic() - started < 5
    assert (status, message) == (408, "The header of the request did not arrive in time.")


def test_a_later_header_on_a_connection_is_cut_too(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(GET)
        whole = connection.until(b'"alive"}')
        connection.send(b"GET / HTTP/1.1\r\nho")
        assert refused(connection.rest()[len(whole) :])[0] == 408


@pytest.mark.parametrize("noise", [b"", b"\r\n\r\n"])
def test_a_connection_that_asks_nothing_is_closed(server: Program, noise: bytes) -> None:
    with Connection(server.port) as connection:
        connection.send(noise)
        assert connection.rest() == b""


def test_empty_lines_do_not_keep_an_answered_connection_open(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(GET)
        connection.until(b'"alive"}')
        connection.send(b"\r\n")
        assert connection.rest().endswith(b'"alive"}')


def test_a_header_is_no_matter_how_it_is_cut(server: Program) -> None:
    with Connection(server.port) as connection:
        for part in (GET[:1], GET[1:9], GET[9:20], GET[20:], GET + GET, GET[:30], GET[30:]):
            connection.send(part)
            time.sleep(0.01)
        while connection.received.count(b'"alive"}') < 4:
            connection.until(b'"alive"}')
            connection.received += connection._socket.recv(65536)


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 5000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\n" + b"a: b\r\n" * 900 + b"\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbig: " + b"x" * 3_000_000,
    ],
)
def test_a_header_beyond_its_bound_is_refused(server: Program, head: bytes) -> None:
    with Connection(server.port) as connection:
        connection.send(head)
        status, message = refused(connection.rest())
    assert (status, message) == (431, "The header of the request is over the limit of 4096 bytes.")


def test_a_header_that_grows_part_by_part_is_refused(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(b"GET / HTTP/1.1\r\nhost: x\r\n")
        for _ in range(16):
            connection.send(b"a: " + b"x" * 500 + b"\r\n")
            time.sleep(0.005)
        assert refused(connection.rest())[0] == 431


def test_a_large_body_beside_its_header_is_no_large_header(server: Program) -> None:
    body = json.dumps({"model": "m", "messages": [{}], "x": "y" * 50_000}).encode()
    with Connection(server.port) as connection:
        connection.send(
            b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
            b"content-length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert b"HTTP/1.1 200 " in connection.until(b"}")


def test_a_url_beyond_its_bound_is_refused(server: Program) -> None:
    assert refused(get(server.port, "/" + "x" * 1100)) == (
        414,
        "The URL is over the limit of 1000 bytes.",
    )


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad name: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\na: b\x00c\r\n\r\n",
        b"GET /\xff HTTP/1.1\r\nhost: x\r\n\r\n",
        b"CONNECT x:1 HTTP/1.1\r\nhost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked, identity\r\n\r\n",
    ],
)
def test_what_is_no_http_is_refused_in_the_envelope(server: Program, request_bytes: bytes) -> None:
    with Connection(server.port) as connection:
        connection.send(request_bytes)
        assert refused(connection.rest()) == (400, "The request is not well-formed HTTP/1.1.")
    assert "Traceback" not in server.err


POST = b"POST /v1/moderations HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
CHUNKED = POST + b"transfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("rest", [b"zz\r\n", b"5;" + b"x" * 300_000, b"0\r\na: " + b"x" * 300_000])
def test_a_body_that_is_no_http_is_refused_once(server: Program, rest: bytes) -> None:
    with Connection(server.port) as connection:
        connection.send(CHUNKED)
        time.sleep(0.02)
        connection.send(rest)
        assert refused(connection.rest())[0] == 400


def test_trailers_are_no_header_fields(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(
            CHUNKED + b"2\r\n{}\r\n0\r\ncontent-encoding: gzip\r\nx-client-request-id: t\r\n\r\n"
        )
        answer = connection.until(b"}")
    assert b"HTTP/1.1 200 " in answer


@pytest.mark.parametrize(
    "rest",
    [
        [b"content-length: 2\r\n\r\n{}"],
        [b"content-length: 2\r\n\r\n", b"{", b"}"],
        [b"transfer-encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r", b"\n0\r\n\r\n"],
    ],
)
def test_a_request_to_upgrade_is_answered_as_it_is(server: Program, rest: list[bytes]) -> None:
    upgrade = POST + b"connection: upgrade, http2-settings\r\nupgrade: h2c\r\n"
    with Connection(server.port) as connection:
        for part in [upgrade, *rest]:
            connection.send(part)
            time.sleep(0.01)
        assert b"HTTP/1.1 200 " in connection.until(b"}")
        connection.received = b""
        connection.send(upgrade.replace(b"POST", b"GET", 1) + b"\r\n" + GET)
        answer = connection.until(b'"alive"}')
        assert answer.startswith(b"HTTP/1.1 405 ")


def test_many_requests_to_upgrade_at_once_are_no_harm(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(
            b"GET /healthz HTTP/1.1\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n" * 3000
            + GET[:-2]
        )
        assert connection.rest().count(b'"alive"}') == 3000
    assert "Traceback" not in server.err


def test_a_websocket_is_refused_in_the_envelope(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(
            b"GET /v1/realtime HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
            b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
        assert b"operation_not_served" in connection.until(b"}}")


def test_garbage_behind_a_request_cuts_the_connection_only(server: Program) -> None:
    with Connection(server.port) as connection:
        connection.send(GET + b"nonsense\r\n\r\n")
        connection.rest()
    assert get(server.port, "/healthz").startswith(b"HTTP/1.1 200 ")
