"""Any of several verifiers: keys of a store beside tokens of an identity provider."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from veneer.auth.verifier import Denial, Verifier, lifespan_of, principals_of, recall_of
from veneer.facts import Principal


class AnyOf:
    """Asks verifiers in turn until one knows the credential.

    One to which it is unknown or malformed, and one that cannot tell, pass it on to the next; any
    other denial is final. Where nobody accepts it and one could not tell, nobody can.
    Raises ValueError for no verifier.
    """

    def __init__(self, verifiers: Sequence[Verifier]) -> None:
        if not verifiers:
            raise ValueError("There is no verifier to ask: give one or more.")
        self._verifiers = tuple(verifiers)
        # What the first does not remember, it may know all the same, and goes before the others.
        self._recall = recall_of(self._verifiers[0])
        self.principals = tuple(
            principal for verifier in verifiers for principal in principals_of(verifier)
        )

    def recall(self, credential: str) -> Principal | None:
        """Return whose credential it is, where the first one remembers it."""
        return self._recall(credential)

    async def verify(self, credential: str) -> Principal | Denial:
        """Return whom the first verifier says that knows, or the denial of all."""
        unavailable = False
        malformed = True
        for verifier in self._verifiers:
            answer = await verifier.verify(credential)
            if answer is Denial.UNAVAILABLE:
                unavailable = True
            elif answer is Denial.UNKNOWN:
                malformed = False
            elif answer is not Denial.MALFORMED:
                return answer
        if unavailable:
            return Denial.UNAVAILABLE
        return Denial.MALFORMED if malformed else Denial.UNKNOWN

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold all of them open, and close them in the reverse order."""
        async with AsyncExitStack() as stack:
            for verifier in self._verifiers:
                await stack.enter_async_context(lifespan_of(verifier))
            yield
