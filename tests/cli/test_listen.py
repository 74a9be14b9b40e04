"""The listening socket."""

import socket

import pytest

from veneer import ConfigurationError
from veneer.cli.listen import base_url, is_loopback, listen


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.1", "::1", "localhost"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", "localhost.x", ""])
def test_what_others_may_reach_is_not_loopback(host: str) -> None:
    assert not is_loopback(host)


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:{}/v1"),
        ("0.0.0.0", "http://127.0.0.1:{}/v1"),
        ("::1", "http://[::1]:{}/v1"),
        ("::", "http://[::1]:{}/v1"),
    ],
)
def test_the_base_url_is_one_that_works_here(host: str, url: str) -> None:
    with listen(host, 0) as listener:
        assert base_url(listener) == url.format(listener.getsockname()[1])


def test_every_interface_is_both_families() -> None:
    with listen("::", 0) as listener:
        socket.create_connection(("127.0.0.1", listener.getsockname()[1])).close()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (PermissionError(13, "Permission denied"), "is not ours to take: give a --port above 1023"),
        (OSError(99, "no address"), "is no address of this machine"),
        (OSError(1, "whatever"), "cannot be listened on: whatever"),
    ],
)
def test_why_a_socket_cannot_be_had_is_said(
    error: OSError, sentence: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(socket.socket, "bind", fail)
    with pytest.raises(ConfigurationError, match=sentence):
        listen("127.0.0.1", 0)
