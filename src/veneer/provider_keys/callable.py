"""Provider keys told by a function: for those that somebody else keeps."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from veneer.facts import Principal
from veneer.stores.unavailable import StoreUnavailableError

Ask = Callable[[Principal], Awaitable[Mapping[str, str] | None]]


class CallableProviderKeys:
    """Asks an asynchronous function which keys a caller has: by target, or None for none.

    One that takes longer than `timeout` seconds cannot tell; it may say that itself by raising
    `StoreUnavailableError`. What else it raises is a bug, and raised. Raises ValueError for a
    timeout that is none.
    """

    def __init__(self, function: Ask, *, timeout: float = 2.0) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: give the seconds that an answer may take.")
        self._function = function
        self._timeout = timeout

    async def find(self, principal: Principal) -> Mapping[str, str]:
        """Return what the function says."""
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                answer = await self._function(principal)
        except TimeoutError:
            if not deadline.expired():
                raise
            # Nothing of what it was about to say: its frames may hold keys.
            raise StoreUnavailableError(f"no answer within {self._timeout:g} s") from None
        if answer is None:
            return {}
        if not isinstance(answer, Mapping):
            # The type only: the value may hold keys.
            raise TypeError(
                f"The function that tells provider keys returned {type(answer).__name__}: it has "
                "to return a mapping from targets to keys, or None."
            )
        return answer
