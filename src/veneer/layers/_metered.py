"""The way back of a request that has taken something: what it is told, and when it is settled."""

from collections.abc import Awaitable, Callable, Iterable

import msgspec
from starlette.types import Message, Scope, Send

from veneer import facts
from veneer.facts import Relayed
from veneer.quotas.estimate import Estimate
from veneer.quotas.limiter import Limiter
from veneer.quotas.settlement import used

Field = tuple[bytes, bytes]
Stamp = Callable[[Scope, Iterable[Field]], list[Field]]


class Metered(msgspec.Struct):
    """Settles what was taken before the last message leaves, or when `settle` is called.

    `stamp` adds to a response's fields how the quotas stand; None leaves that to a layer above.
    """

    _scope: Scope
    _send: Send
    _stamp: Stamp | None
    _limiter: Limiter
    _taken: object
    _estimate: Estimate | None
    _status: int | None = None

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
