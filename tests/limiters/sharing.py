"""Limiters that share a file, as many processes would, and quotas to count in it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from tests.clock import Clock
from tests.limiters.workers import at_once, shared
from veneer.limiters.shared import SharedLimiter
from veneer.quotas.quota import Charge, Quota

R = Quota(policy="r", unit="requests", limit=5, window=10.0)
T = Quota(policy="t", unit="tokens", limit=100, window=7.0)
C = Quota(policy="c", unit="concurrent-requests", limit=2)
STRICT_R = Quota(policy="sr", unit="requests", limit=4, window=5.0, strict=True)
STRICT_T = Quota(policy="st", unit="tokens", limit=80, window=9.0, strict=True)
QUOTAS = [R, T, C, STRICT_R, STRICT_T]
EACH = [Charge(R, ("a",), 1), Charge(T, ("a",), 30), Charge(C, ("a",), 1)]


@contextmanager
def sharing(count: int = 1, **sizes: int) -> Iterator[tuple[Clock, list[SharedLimiter]]]:
    """Limiters that share a file, as many processes would."""
    clock = Clock()
    with TemporaryDirectory() as directory:
        limiters = [shared(Path(directory) / "t", **sizes, clock=clock) for _ in range(count)]
        try:
            yield clock, limiters
        finally:
            for limiter in limiters:
                limiter._abandon()


def left(limiter: SharedLimiter, charges: list[Charge]) -> list[int]:
    """Return what remains of what the charges are of."""
    asked = [msgspec.structs.replace(charge, cost=0) for charge in charges]
    return [standing.remaining for standing in at_once(limiter.take(asked)).standings]
