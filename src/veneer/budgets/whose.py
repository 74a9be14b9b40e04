"""Whose account is meant: partitions of budgets as people write them, and back.

People write what somebody is counted by, and who that is: `team` and `acme`. Who has no team or
user is counted by the key, and who has no key by the address, which is written as one.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv6Network
from types import MappingProxyType

from veneer.auth.peers import IPV4_LENGTH, NETWORK_LENGTH, Peers
from veneer.quotas.partition import Choice

ALL = "all"
PEER = "peer"
# A function of the host's.
OWN = "own"

# What those may be counted by who are under a budget that goes by a name; the first that is said.
COUNTED_BY: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "team": ("team", "key", PEER),
        "user": ("user", "key", PEER),
        "key": ("key", PEER),
        "tag": ("tag", PEER),
        "model": ("model",),
        "operation": ("operation",),
        PEER: (PEER,),
        OWN: (OWN,),
        ALL: (),
    }
)

_NETWORK = f"/{8 * NETWORK_LENGTH}"


def whose(partition: Sequence[str]) -> dict[str, str]:
    """Return a partition as people write it, by what and who.

    Where somebody stands in it twice, for want of a team and of a user, it is said once.
    """
    pairs = zip(partition[::2], partition[1::2], strict=False)
    return {name: _address(value) if name == PEER else value for name, value in pairs}


def partition_of(who: Mapping[str, str], by: Choice | None = None) -> tuple[str, ...]:
    """Return the partition that people mean.

    `by` is what the budget goes by, whose order counts; None where that is not known: then it is
    the order in which it is written. Nobody is everybody. Raises ValueError for what cannot be.
    """
    given = {name: _stored(name, value) for name, value in who.items()}
    names = (tuple(given) or (ALL,)) if by is None else _names(by)
    parts: list[str] = []
    for name in names:
        parts += _part(name, given, names)
    strange = given.keys() - set(parts[::2])
    if strange:
        words = " and ".join(sorted(strange))
        raise ValueError(f"this budget goes by {' and '.join(names)}, not by {words}.")
    return tuple(parts)


def _part(name: str, given: Mapping[str, str], names: Sequence[str]) -> tuple[str, str]:
    if name == ALL:
        return (ALL, "")
    for each in COUNTED_BY[name]:
        if each in given:
            return (each, given[each])
    raise ValueError(f"this budget goes by {' and '.join(names)}: say whose of each is meant.")


def _names(by: Choice) -> tuple[str, ...]:
    if callable(by):
        return (OWN,)
    return (by,) if isinstance(by, str) else tuple(by)


def _stored(name: str, value: str) -> str:
    """Return how a partition has who is meant."""
    if name not in COUNTED_BY:
        raise ValueError(f"nobody is counted by {name!r}: there are {', '.join(COUNTED_BY)}.")
    if name == ALL and value:
        raise ValueError(f"{ALL} is everybody, and has no name.")
    if name != PEER or not value:
        return value
    packed = Peers().of({"client": (value.removesuffix(_NETWORK), 0)})
    if not packed:
        raise ValueError(f"{value[:100]!a} is no address: give one such as 10.0.0.7.")
    return packed.hex()


def _address(stored: str) -> str:
    """Return an address from how a partition has it; empty is where a server tells none."""
    packed = bytes.fromhex(stored)
    if len(packed) == IPV4_LENGTH:
        return str(IPv4Address(packed))
    if len(packed) == NETWORK_LENGTH:
        return str(IPv6Network((packed + bytes(NETWORK_LENGTH), 8 * NETWORK_LENGTH)))
    return stored
