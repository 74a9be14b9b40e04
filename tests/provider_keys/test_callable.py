"""Provider keys that a function tells."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from veneer.facts import Principal
from veneer.provider_keys.callable import CallableProviderKeys
from veneer.stores.unavailable import StoreUnavailableError

ANN = Principal(id="ann")


def saying(answer: Any) -> CallableProviderKeys:
    async def function(principal: Principal) -> Any:
        assert principal is ANN
        return answer

    return CallableProviderKeys(function)


async def test_it_says_what_the_function_says() -> None:
    assert await saying({"a": "k"}).find(ANN) == {"a": "k"}
    assert await saying(None).find(ANN) == {}


async def test_what_is_no_mapping_is_a_bug_and_not_shown() -> None:
    with pytest.raises(TypeError, match="returned str") as caught:
        await saying("sk-secret").find(ANN)
    assert "sk-secret" not in str(caught.value)


async def test_a_function_that_takes_too_long_cannot_tell() -> None:
    async def function(_: Principal) -> Mapping[str, str]:
        await asyncio.Event().wait()
        return {}

    with pytest.raises(StoreUnavailableError, match=r"within 0\.01 s"):
        await CallableProviderKeys(function, timeout=0.01).find(ANN)


async def test_a_timeout_of_its_own_is_its_own() -> None:
    async def function(_: Principal) -> Mapping[str, str]:
        raise TimeoutError("mine")

    with pytest.raises(TimeoutError, match="mine"):
        await CallableProviderKeys(function).find(ANN)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_timeout_that_is_none_is_refused(timeout: float) -> None:
    with pytest.raises(ValueError, match="give the seconds"):
        CallableProviderKeys(lambda _: asyncio.sleep(0, {}), timeout=timeout)
