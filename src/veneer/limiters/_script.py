"""What RedisLimiter says to its script, and the answers."""

from collections.abc import Sequence
from hashlib import blake2b
from importlib.resources import files
from typing import Any, NamedTuple

import msgspec

from veneer.facts import Standing
from veneer.limiters.bucket import TOLERANCE
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Charge, Quota

# Above it doubles skip integers; nobody has so many units.
_MOST = 2**53
_NUMBERS = 5


class AnswerLostError(LimiterUnavailableError):
    """A command was sent and its answer has not come: it may have been done."""


class Held(NamedTuple):
    """What a call took of one counter: `document` is what the script needs to settle it."""

    key: str
    limit: float
    units: int
    document: tuple[Any, ...]


class Taken(msgspec.Struct, frozen=True):
    """What one call took that is to be settled."""

    call: str
    tokens: tuple[Held, ...] = ()
    slots: tuple[Held, ...] = ()


def source() -> str:
    """Return the whole script."""
    room = files("veneer.limiters")
    return "\n".join(room.joinpath(name).read_text() for name in ("_meters.lua", "_script.lua"))


def key_of(prefix: str, charge: Charge) -> str:
    """Return the key of a charge's counter; the hash tag keeps all in one slot of a cluster.

    The names are hashed, each with its length in front: no two partitions have the same key.
    """
    digest = blake2b(digest_size=16)
    for name in (charge.quota.id, *charge.partition):
        data = name.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(data), data))
    return f"{{{prefix}}}:{_kind(charge.quota)}:{digest.hexdigest()}"


class Asked(NamedTuple):
    """What a call asks for: charges, and the keys of their counters."""

    call: str
    charges: Sequence[Charge]
    keys: Sequence[str]

    def question(self, lease: float) -> bytes:
        """Return the document that asks for it."""
        asked = [
            (
                _kind(charge.quota),
                float(charge.quota.limit),
                charge.quota.window,
                min(charge.cost, _MOST),
                charge.quota.unit == REQUESTS,
            )
            for charge in self.charges
        ]
        return msgspec.msgpack.encode((self.call, lease, asked))

    def decision(self, reply: bytes) -> Decision:
        """Return what the script has decided."""
        numbers = [float(number) for number in reply.split()]
        standings: list[Standing] = []
        refused: list[int] = []
        longest = 0.0
        tokens: list[Held] = []
        for index, (charge, key) in enumerate(zip(self.charges, self.keys, strict=True)):
            level, wait, reset, *mark = numbers[index * _NUMBERS : (index + 1) * _NUMBERS]
            quota = charge.quota
            standings.append(_standing(quota, level, reset))
            if wait:
                refused.append(index)
                longest = max(longest, wait)
            elif charge.cost > 0 and quota.unit == TOKENS:
                document = (_kind(quota), float(quota.limit), quota.window, charge.cost, *mark)
                tokens.append(Held(key, quota.limit, charge.cost, document))
        taken = None if refused else msgspec.structs.replace(self.slots(), tokens=tuple(tokens))
        return Decision(
            standings=tuple(standings),
            refused=tuple(refused),
            wait=longest,
            taken=taken if taken and (taken.tokens or taken.slots) else None,
        )

    def slots(self) -> Taken:
        """Return the slots that the call holds, if it was admitted."""
        held = [
            Held(key, charge.quota.limit, charge.cost, ("slots", self.call, charge.cost))
            for charge, key in zip(self.charges, self.keys, strict=True)
            if charge.cost > 0 and charge.quota.unit == CONCURRENT
        ]
        return Taken(self.call, slots=tuple(held))


def settlement(
    number: int,
    lease: float,
    marker: str,
    settled: Sequence[tuple[Taken, int]],
    renewed: Sequence[Taken],
) -> tuple[list[str], bytes]:
    """Return the keys and the document that settle what calls took, and renew slots of others."""
    places: dict[str, int] = {marker: 1}

    def place(key: str) -> int:
        return places.setdefault(key, len(places) + 1)

    parts: list[tuple[Any, ...]] = []
    for taken, used in settled:
        units = min(max(used, 0), _MOST)
        parts += [(place(held.key), *held.document, units) for held in taken.tokens]
        parts += [(place(held.key), *held.document) for held in taken.slots]
    renewals = [
        (place(held.key), held.limit, taken.call, held.units)
        for taken in renewed
        for held in taken.slots
    ]
    document = msgspec.msgpack.encode((number, lease, parts, renewals))
    return list(places), document


def _kind(quota: Quota) -> str:
    if quota.unit == CONCURRENT:
        return "slots"
    return "ring" if quota.strict else "bucket"


def _standing(quota: Quota, level: float, reset: float) -> Standing:
    return Standing(
        policy=quota.policy,
        unit=quota.unit,
        limit=quota.limit,
        window=quota.window,
        remaining=max(0, int(quota.limit - level + TOLERANCE)),
        reset=reset,
    )
