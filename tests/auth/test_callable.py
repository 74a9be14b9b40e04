"""A verifier made of a function."""

import asyncio
from typing import Any

import pytest

from veneer.auth.callable import CallableVerifier
from veneer.auth.verifier import Denial
from veneer.facts import Principal

ALICE = Principal(id="alice")


async def whose(credential: str) -> Principal | Denial | None:
    known: dict[str, Principal | Denial] = {"a": ALICE, "old": Denial.EXPIRED}
    return known.get(credential)


async def test_the_function_says_whose_it_is() -> None:
    verifier = CallableVerifier(whose)
    assert await verifier.verify("a") is ALICE
    assert await verifier.verify("old") is Denial.EXPIRED
    assert await verifier.verify("b") is Denial.UNKNOWN


async def test_one_that_does_not_answer_cannot_tell() -> None:
    async def never(_credential: str) -> None:
        await asyncio.Event().wait()

    assert await CallableVerifier(never, timeout=0.01).verify("a") is Denial.UNAVAILABLE


async def test_its_own_errors_are_raised() -> None:
    async def fails(_credential: str) -> None:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await CallableVerifier(fails).verify("a")


async def test_anything_else_that_it_returns_is_a_bug_that_shows_no_value() -> None:
    async def returns(credential: str) -> Any:
        return {"key": credential}

    with pytest.raises(TypeError, match="returned dict") as caught:
        await CallableVerifier(returns).verify("secret")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="give the seconds"):
        CallableVerifier(whose, timeout=timeout)
