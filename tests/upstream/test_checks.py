"""Health checks of targets."""

import asyncio
import logging

import pytest

from tests.clock import Clock
from veneer.routing.target import Target
from veneer.upstream._checks import FAILED, Checks
from veneer.upstream._roster import Roster


class Broken:
    """An app whose check raises what nobody expects."""

    async def __call__(self, _scope: object, _receive: object, _send: object) -> None:
        """Answer nobody."""

    async def reachable(self) -> bool:
        """Fail."""
        raise LookupError


async def test_a_check_that_fails_itself_is_told_of(caplog: pytest.LogCaptureFixture) -> None:
    roster = Roster([Target(name="a", app=Broken())], affinity=False, clock=Clock())
    with caplog.at_level(logging.CRITICAL, logger="veneer.upstream"):
        async with Checks(roster, 60).running():
            for _ in range(10):
                await asyncio.sleep(0)
    assert FAILED in caplog.text
