"""What RedisLimiter says to its script, and the answers."""

import struct
from collections.abc import Callable, Iterator, Sequence
from hashlib import blake2b
from importlib.resources import files
from typing import Any, NamedTuple, TypeVar

import msgspec

from veneer.facts import Standing
from veneer.limiters.bucket import TOLERANCE
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota

T = TypeVar("T")

# Above it doubles skip integers; nobody has so many units.
_MOST = 2**53
# What the script says to a charge: level, wait, reset, and the two numbers of the mark.
_NUMBERS = "<5d"

Numbers = tuple[float, float, float, float, float]
# Kind, limit, window.
Counted = tuple[str, float, float]


class AnswerLostError(LimiterUnavailableError):
    """A command was sent and its answer has not come: it may have been done."""


class Held(NamedTuple):
    """What a call took of one counter, and the mark by which it is settled there."""

    key: str
    quota: Counted
    units: int
    mark: tuple[float, ...] = ()


class Taken(msgspec.Struct, frozen=True):
    """What one call took that is to be settled."""

    call: str
    tokens: tuple[Held, ...] = ()
    slots: tuple[Held, ...] = ()


def source() -> str:
    """Return the whole script."""
    room = files("veneer.limiters")
    return "\n".join(room.joinpath(name).read_text() for name in ("_meters.lua", "_script.lua"))


def key_of(prefix: str, kind: str, quota: str, partition: tuple[str, ...]) -> str:
    """Return the key of a counter; the hash tag keeps all in one slot of a cluster.

    The names are hashed, each with its length in front: no two partitions have the same key.
    """
    names = [name.encode("utf-8", "surrogatepass") for name in (quota, *partition)]
    data = b"".join([b"%d:%b" % (len(name), name) for name in names])
    return f"{{{prefix}}}:{kind}:{blake2b(data, digest_size=16).hexdigest()}"


class Asked:
    """What a call asks for: charges, and the keys of their counters."""

    def __init__(
        self, key: Callable[[str, str, tuple[str, ...]], str], call: str, charges: Sequence[Charge]
    ) -> None:
        self.call = call
        self.charges = charges
        self.quotas = [_counted(charge.quota) for charge in charges]
        self.keys = [
            key(counted[0], charge.quota.id, charge.partition)
            for charge, counted in zip(charges, self.quotas, strict=True)
        ]

    def question(self, keys: "_Places[str]", quotas: "_Places[Counted]") -> tuple[Any, ...]:
        """Return what the script is told of it."""
        charges = zip(self.charges, self.keys, self.quotas, strict=True)
        return self.call, [
            (quotas[counted], keys[key], min(charge.cost, _MOST), charge.quota.unit == REQUESTS)
            for charge, key, counted in charges
        ]

    def decision(self, numbers: Iterator[Numbers]) -> Decision:
        """Return what the script has decided, whose next numbers are those of this call."""
        standings: list[Standing] = []
        refused: list[int] = []
        longest = 0.0
        tokens: list[Held] = []
        for index, charge in enumerate(self.charges):
            level, wait, reset, *mark = next(numbers)
            standings.append(_standing(charge.quota, level, reset))
            if wait:
                refused.append(index)
                longest = max(longest, wait)
            elif charge.cost > 0 and charge.quota.unit == TOKENS:
                tokens.append(self._held(index, *mark))
        if refused:
            return Decision(standings=tuple(standings), refused=tuple(refused), wait=longest)
        slots = self.slots().slots
        taken = Taken(self.call, tuple(tokens), slots) if tokens or slots else None
        return Decision(standings=tuple(standings), taken=taken)

    def slots(self) -> Taken:
        """Return the slots that the call holds, if it was admitted."""
        held = [
            self._held(index)
            for index, charge in enumerate(self.charges)
            if charge.cost > 0 and charge.quota.unit == CONCURRENT
        ]
        return Taken(self.call, slots=tuple(held))

    def _held(self, index: int, *mark: float) -> Held:
        units = min(self.charges[index].cost, _MOST)
        return Held(self.keys[index], self.quotas[index], units, mark)


class _Places(dict[T, int]):
    """Places in a list of what is looked up, each there once; Lua counts from 1."""

    def __missing__(self, item: T) -> int:
        self[item] = place = len(self) + 1
        return place


def questions(asked: Sequence[Asked], lease: float) -> tuple[list[str], bytes]:
    """Return the keys and the document that ask for what calls ask for, in their order."""
    keys, quotas = _Places[str](), _Places[Counted]()
    takes = [one.question(keys, quotas) for one in asked]
    document = {"lease": lease, "quotas": list(quotas), "takes": takes}
    return list(keys), msgspec.msgpack.encode(document)


def decisions(asked: Sequence[Asked], reply: bytes) -> list[Decision]:
    """Return what the script has decided on each."""
    numbers: Iterator[Numbers] = struct.iter_unpack(_NUMBERS, reply)
    return [one.decision(numbers) for one in asked]


def settlement(
    number: int,
    lease: float,
    marker: str,
    settled: Sequence[tuple[Taken, int]],
    renewed: Sequence[Taken],
) -> tuple[list[str], bytes]:
    """Return the keys and the document that settle what calls took, and renew slots of others."""
    keys, quotas = _Places[str]({marker: 1}), _Places[Counted]()
    document = {
        "number": number,
        "lease": lease,
        "settled": [
            (quotas[held.quota], keys[held.key], held.units, *held.mark, min(max(used, 0), _MOST))
            for taken, used in settled
            for held in taken.tokens
        ],
        "freed": [
            (keys[held.key], held.units, taken.call) for taken, _ in settled for held in taken.slots
        ],
        "renewed": [
            (quotas[held.quota], keys[held.key], held.units, taken.call)
            for taken in renewed
            for held in taken.slots
        ],
        "quotas": list(quotas),
    }
    return list(keys), msgspec.msgpack.encode(document)


def _kind(quota: Quota) -> str:
    if quota.unit == CONCURRENT:
        return "slots"
    return "ring" if quota.strict else "bucket"


def _counted(quota: Quota) -> Counted:
    return _kind(quota), float(quota.limit), quota.window


def _standing(quota: Quota, level: float, reset: float) -> Standing:
    return Standing(
        policy=quota.policy,
        unit=quota.unit,
        limit=quota.limit,
        window=quota.window,
        remaining=max(0, int(quota.limit - level + TOLERANCE)),
        reset=reset,
    )
