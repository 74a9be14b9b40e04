"""The asking of one replica: what came of it."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Message, Send

from veneer.client import Client
from veneer.facts import Route, Unreached, Usage
from veneer.upstream.impatient import Impatient


class Asking:
    """Passes the answer of a replica on in the name of its fleet, unless nobody was reached.

    `known` are the facts of the call; `begun` is told when an answer begins. An answer of the
    server's side that comes with `Unreached` is kept in `kept`: nothing was sent, so another
    replica may be asked.
    """

    __slots__ = ("_begun", "_fleet", "_known", "_route", "_send", "_usage", "kept", "status")

    def __init__(
        self,
        known: dict[type, Any],
        fleet: str,
        send: Send,
        *,
        begun: Callable[["Asking"], None],
    ) -> None:
        self.status: int | None = None
        self.kept: list[Message] = []
        self._known = known
        self._fleet = fleet
        self._begun = begun
        self._send = send
        self._route = known.get(Route)
        self._usage = known.get(Usage)

    async def send(self, message: Message) -> None:
        """Pass on what the replica's app sends, or keep it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            if self.answered:
                self._rename()
            elif self.failed and Unreached in self._known:
                self.kept.append(message)
                return
            self._begun(self)
        elif self.kept:
            self.kept.append(message)
            return
        await self._send(message)

    @property
    def answered(self) -> bool:
        """Whether the server has answered, whatever it said."""
        return self._known.get(Route) is not self._route

    @property
    def failed(self) -> bool:
        """Whether an error, or nothing, came in place of an answer, by no fault of the client."""
        status = self.status
        if status is None:
            client = self._known.get(Client)
            left = client is not None and client.disconnected
            return not left and Impatient not in self._known
        return status >= HTTPStatus.INTERNAL_SERVER_ERROR and not self.answered

    @property
    def succeeded(self) -> bool:
        """Whether the answer is what was asked for, so that its prompt was read."""
        status = self.status
        return status is not None and status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def cached(self) -> int | None:
        """The tokens that the answer says were cached, None where nobody has read its usage."""
        usage = self._known.get(Usage)
        if not isinstance(usage, Usage) or usage is self._usage or usage.malformed:
            return None
        return usage.cached_input_tokens

    def _rename(self) -> None:
        route: Route = self._known[Route]
        self._known[Route] = msgspec.structs.replace(route, target=self._fleet)
