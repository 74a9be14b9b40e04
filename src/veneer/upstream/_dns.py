"""Where the replicas of a fleet are: at each address of a name (A and AAAA records), or as told."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import msgspec

from veneer.upstream.base_url import split_url
from veneer.upstream.origin import Origin


class Place(msgspec.Struct, frozen=True, order=True):
    """Where a replica is: its URL, and which address of the URL's host is meant."""

    url: str
    address: str | None = None

    @property
    def shown(self) -> str:
        """Host and port, for logs."""
        origin = Origin.parse(split_url(self.url)[0])
        host = self.address or origin.host
        return f"[{host}]:{origin.port}" if ":" in host else f"{host}:{origin.port}"


Lookup = Callable[[], Awaitable[Sequence[Place]]]


def by_name(url: str) -> Lookup:
    """Return a lookup of the addresses of the host in `url`, which raises OSError.

    Raises ValueError for what is no base URL.
    """
    return partial(_addresses, url, Origin.parse(split_url(url)[0]))


def by_asking(ask: Callable[[], Awaitable[Sequence[str]]]) -> Lookup:
    """Return a lookup of the URLs that somebody else's callable returns."""
    return partial(_asked, ask)


async def _asked(ask: Callable[[], Awaitable[Sequence[str]]]) -> list[Place]:
    return list(map(Place, await ask()))


async def _addresses(url: str, origin: Origin) -> list[Place]:
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    return sorted({Place(url, str(address[0])) for _, _, _, _, address in found})


def listed(urls: Sequence[str]) -> list[Place]:
    """Return the places of these URLs. Raises ValueError for none, and for one given twice."""
    if not urls:
        raise ValueError("A fleet without replicas serves nobody: give one URL or more.")
    if len(set(urls)) < len(urls):
        raise ValueError("A replica is listed twice: give each URL once.")
    return list(map(Place, urls))
