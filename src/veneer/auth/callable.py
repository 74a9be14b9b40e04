"""A verifier made of a function: for keys that somebody else keeps."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from veneer.auth.verifier import Denial
from veneer.facts import Principal

logger = logging.getLogger("veneer.auth")


class CallableVerifier:
    """Asks an asynchronous function whose credential it is shown.

    It returns a Principal, None for a credential that it does not know, or a Denial that says more.
    One that takes longer than `timeout` seconds cannot tell; what it raises is a bug, and raised.
    Raises ValueError for a timeout that is none.
    """

    def __init__(
        self,
        function: Callable[[str], Awaitable[Principal | Denial | None]],
        *,
        timeout: float = 5.0,
    ) -> None:
        if not timeout > 0:
            raise ValueError(f"timeout is {timeout}: give the seconds that an answer may take.")
        self._function = function
        self._timeout = timeout

    async def verify(self, credential: str) -> Principal | Denial:
        """Return what the function says."""
        deadline = asyncio.timeout(self._timeout)
        try:
            async with deadline:
                answer = await self._function(credential)
        except TimeoutError:
            if not deadline.expired():
                raise
            logger.warning("the function that verifies keys took longer than %s s", self._timeout)
            return Denial.UNAVAILABLE
        if answer is None:
            return Denial.UNKNOWN
        if not isinstance(answer, Principal | Denial):
            # The type only: the value may hold the credential.
            raise TypeError(
                f"The function that verifies keys returned {type(answer).__name__}: it has to "
                "return a Principal, a Denial or None."
            )
        return answer
