"""Peers: by which address a connection is known."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import http_scope
from veneer.auth.peers import Peers


def peer(client: str | None, *forwarded: str, trusted: tuple[str, ...] = ()) -> bytes:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    address = None if client is None else (client, 1234)
    return Peers(trusted).of(http_scope(client=address, headers=headers))


def v4(text: str) -> bytes:
    return bytes(int(part) for part in text.split("."))


def test_an_ipv4_peer_is_its_address() -> None:
    assert peer("192.0.2.1") == v4("192.0.2.1")


def test_an_ipv6_peer_is_its_network() -> None:
    assert peer("2001:db8::1") == peer("2001:db8::ffff:1")
    assert peer("2001:db8::1") != peer("2001:db8:0:1::1")
    assert peer("fe80::1%eth0") == peer("fe80::2")


def test_an_ipv4_address_inside_ipv6_is_the_ipv4_peer() -> None:
    assert peer("::ffff:192.0.2.1") == peer("192.0.2.1")


@pytest.mark.parametrize("client", [None, "", "testclient", "unix:/run/x", "1.2.3", "1\0"])
def test_peers_without_an_address_are_one(client: str | None) -> None:
    assert peer(client) == b""


def test_forwarded_addresses_count_only_from_trusted_proxies() -> None:
    assert peer("192.0.2.1", "198.51.100.7") == v4("192.0.2.1")
    assert peer("192.0.2.1", "198.51.100.7", trusted=("10.0.0.0/8",)) == v4("192.0.2.1")
    assert peer("10.1.2.3", "198.51.100.7", trusted=("10.0.0.0/8",)) == v4("198.51.100.7")


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (("203.0.113.9, 198.51.100.7",), "198.51.100.7"),
        (("203.0.113.9", "198.51.100.7, 10.0.0.2"), "198.51.100.7"),
        (("203.0.113.9, 10.0.0.2", "10.0.0.3"), "203.0.113.9"),
        (("10.0.0.3, 10.0.0.2",), "10.0.0.3"),
        (("198.51.100.7:443",), "198.51.100.7"),
        (("203.0.113.9, nonsense",), "10.0.0.1"),
        (("203.0.113.9, nonsense, 10.0.0.2",), "10.0.0.2"),
        (("",), "10.0.0.1"),
        ((), "10.0.0.1"),
    ],
)
def test_the_right_most_address_that_is_not_trusted_is_the_peer(
    fields: tuple[str, ...], expected: str
) -> None:
    assert peer("10.0.0.1", *fields, trusted=("10.0.0.0/8",)) == v4(expected)


def test_forwarded_ipv6_addresses_may_have_brackets_and_ports() -> None:
    expected = peer("2001:db8::1")
    for hop in ("2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:443"):
        assert peer("::1", hop, trusted=("::1", "fd00::/8")) == expected


def test_only_the_end_of_a_long_field_is_read() -> None:
    assert peer("10.0.0.1", "192.0.2.1, " * 10_000 + "10.0.0.2", trusted=("10.0.0.0/8",)) == v4(
        "192.0.2.1"
    )
    assert peer("10.0.0.1", ",".join(["10.0.0.2"] * 500), trusted=("10.0.0.0/8",)) == v4("10.0.0.2")


@given(st.text(st.characters(codec="utf-8"), max_size=80))
def test_whatever_is_forwarded_is_an_address_or_ignored(value: str) -> None:
    assert len(peer("10.0.0.1", value, trusted=("10.0.0.1",))) in (4, 8)


@pytest.mark.parametrize("wrong", ["proxy", "10.0.0.0/33", "10.0.0.1/8", ""])
def test_what_is_no_address_cannot_be_trusted(wrong: str) -> None:
    with pytest.raises(ValueError, match="trusted_proxies has"):
        Peers([wrong])
