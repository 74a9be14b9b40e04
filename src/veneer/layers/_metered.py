"""The way back of a request that has taken something: what it is told, and when it is settled."""

from collections.abc import Awaitable, Callable, Iterable

from starlette.types import Message, Scope, Send

from veneer import facts
from veneer.facts import Relayed
from veneer.quotas.estimate import Estimate
from veneer.quotas.limiter import Limiter
from veneer.quotas.settlement import used

Field = tuple[bytes, bytes]
Stamp = Callable[[Scope, Iterable[Field]], list[Field]]


class Metered:
    """Settles what was taken before the last message leaves, or when `settle` is called.

    `stamp` adds to a response's fields how the quotas stand; None leaves that to a layer above.
    """

    __slots__ = ("_estimate", "_limiter", "_scope", "_send", "_stamp", "_status", "_taken")

    def __init__(  # noqa: PLR0913, PLR0917 - all of a request's way back, said once
        self,
        scope: Scope,
        send: Send,
        stamp: Stamp | None,
        limiter: Limiter,
        taken: object,
        estimate: Estimate | None,
    ) -> None:
        self._scope = scope
        self._send = send
        self._stamp = stamp
        self._limiter = limiter
        self._taken = taken
        self._estimate = estimate
        self._status: int | None = None

    def send(self, message: Message) -> Awaitable[None]:
        """Pass a message on; it is no coroutine of its own, as most events only pass."""
        if message["type"] == "http.response.start":
            self._status = message["status"]
            if self._stamp is not None:
                headers = self._stamp(self._scope, message.get("headers", ()))
                message = {**message, "headers": headers}
        # A client that has this message may take its answer for whole, where a body ends, or with
        # what the relay knows to be the last event of a stream.
        elif (
            self._taken is not None
            and self._status is not None
            and (not message.get("more_body", False) or Relayed in self._scope[facts.SCOPE_KEY])
        ):
            self.settle()
        return self._send(message)

    def settle(self) -> None:
        """Correct what was taken to what was used; once, however often it is called."""
        taken, self._taken = self._taken, None
        if taken is not None:
            estimate = self._estimate
            tokens = 0 if estimate is None else used(self._scope, estimate, self._status)
            self._limiter.settle(taken, tokens)
