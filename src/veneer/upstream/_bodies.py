"""The body of a call, as each of its tries sends it."""

from starlette.types import Scope

from veneer.call import Call
from veneer.client import FRAMING, Client
from veneer.routing.plan import Step
from veneer.wire import fields, splice
from veneer.wire.multipart import FormError, FormField, boundary_of
from veneer.wire.naming import renamed

BARE = frozenset(["GET", "HEAD"])


class Bodies:
    """Makes the body of each try from the one that the client has sent.

    `call` is None where nobody has read what is asked for. A body that was kept can be sent again,
    until it is dropped, and so can none at all; an upload goes on as it comes, once.
    """

    def __init__(self, scope: Scope, client: Client, call: Call | None) -> None:
        self._scope = scope
        self._client = client
        self._call = call
        self._kept = client.kept
        self._used = False
        bare = scope["method"] in BARE and not any(n in FRAMING for n, _ in scope["headers"])
        self.may_repeat = bool(self._kept) or bare

    def scope(self, step: Step) -> Scope:
        """Return the scope of a try, whose body is the client's next.

        Raises ValueError for one that cannot be changed as the try needs it.
        """
        call, name = self._call, step.offer.name
        again, self._used = self._used, True
        other = call is not None and bool(name) and call.model != name
        if not self._kept and not self.may_repeat:
            return self._with_form(name) if other else self._scope
        body = self._kept
        if other and call is not None:
            body = renamed(body, name, named=call.model is not None)
        if step.dropped:
            body = splice.without(body, step.dropped)
        if body is self._kept and not again:
            return self._scope
        return self._client.replace_body(self._scope, body)

    def drop(self) -> None:
        """Keep the body no longer: there is an answer."""
        self._kept = b""
        self._client.drop_body()

    def _with_form(self, name: str) -> Scope:
        """Return the scope of an upload whose form names another model, where it has named one."""
        kinds = fields.get_all(self._scope["headers"], b"content-type")
        try:
            field = FormField("model", boundary_of(b", ".join(kinds)))
            start = self._client.start
            field.feed(start)
        except FormError:
            return self._scope
        if field.found is None:
            return self._scope
        start = start[: field.found.start] + name.encode() + start[field.found.end :]
        return self._client.replace_start(self._scope, start)
