"""Peers: who is on the other end of a connection, as far as that can be believed."""

import ipaddress
import re
import socket
from collections.abc import Iterable, Sequence

from starlette.types import Scope

from veneer.wire import fields

FORWARDED_FOR = b"x-forwarded-for"
# No chain of proxies is this long, and a field this long is nobody's to read through.
MAX_HOPS = 32
MAX_LENGTH = 2048

IPV4_LENGTH = 4
NETWORK_LENGTH = 8

_IPV4_IN_IPV6 = b"\0" * 10 + b"\xff\xff"
_WITH_PORT = re.compile(r"\[([^\]]*)\](?::\d+)?|([\d.]+):\d+").fullmatch


class Peers:
    """Tells peers apart by their addresses.

    An IPv6 network of 64 bits is one peer: its holder may use them all (RFC 4291 §2.5.4).
    `trusted_proxies` are addresses or networks whose `X-Forwarded-For` is believed: the peer is
    then the right-most address in it that is none of theirs. Raises ValueError for one that is no
    address.
    """

    def __init__(self, trusted_proxies: Iterable[str] = ()) -> None:
        self._trusted = [_network(text) for text in trusted_proxies]

    def of(self, scope: Scope) -> bytes:
        """Return what stands for the peer of a request: packed address, or network of 64 bits.

        Empty where the server does not tell (Unix sockets): all such are one peer.
        """
        client = scope.get("client")
        packed = None if client is None else _packed(str(client[0]))
        if packed is None:
            return b""
        if self._trusted and self._is_trusted(packed):
            packed = self._forwarded(scope["headers"], packed)
        return packed if len(packed) == IPV4_LENGTH else packed[:NETWORK_LENGTH]

    def _forwarded(self, headers: Sequence[tuple[bytes, bytes]], proxy: bytes) -> bytes:
        value = b",".join(fields.get_all(headers, FORWARDED_FOR))
        hops = value[-MAX_LENGTH:].decode("latin-1").rsplit(",", MAX_HOPS)
        for hop in reversed(hops[-MAX_HOPS:]):
            packed = _packed(_without_port(hop.strip()))
            if packed is None:
                # Nobody trusted wrote this, so nothing left of it can be believed either.
                return proxy
            if not self._is_trusted(packed):
                return packed
            proxy = packed
        return proxy

    def _is_trusted(self, packed: bytes) -> bool:
        address = ipaddress.ip_address(packed)
        return any(address in network for network in self._trusted)


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        raise ValueError(
            f"trusted_proxies has {text!r}: give addresses or networks such as '10.0.0.7' and "
            "'10.0.0.0/8'."
        ) from None


def _packed(text: str) -> bytes | None:
    """Return an address as bytes, an IPv4 one inside IPv6 as IPv4; None for none."""
    try:
        if ":" not in text:
            return socket.inet_pton(socket.AF_INET, text)
        packed = socket.inet_pton(socket.AF_INET6, text.partition("%")[0])
    except (OSError, ValueError):
        return None
    return packed[12:] if packed.startswith(_IPV4_IN_IPV6) else packed


def _without_port(hop: str) -> str:
    match = _WITH_PORT(hop)
    return hop if match is None else match[1] or match[2] or ""
