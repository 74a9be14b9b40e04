"""Embeddings: batches that a model cannot take, content parts, and vectors in base64.

Answers 400 for a batch whose model takes none, and for content parts beyond their caps. Uses
`Resolved`, if there is one: a model whose capabilities are known, and `embeddings_batch` is not
among them, takes no batch. Writes `Call`, and `Unreached` for what it refuses; of a batch that is
asked for one by one, it says in `Usage` and `Route` what the app below would have said of one call.
Stands right above the app, below all that counts: so a batch is limited, held and charged as the
one call that its client made, by the sum of what its parts have used, and one that is refused costs
nothing.

A part that fails is the answer to the whole batch, which then costs nothing, as any call that is
answered with an error.
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import Call, read_call
from veneer.catalog.model import Resolved
from veneer.client import client_of
from veneer.embeddings.inputs import Caps
from veneer.embeddings.planning import MAX_ITEMS, Batches, Encoding, Plan, Planning
from veneer.errors import Error
from veneer.facts import Unreached, Usage
from veneer.layer import Layer
from veneer.layers._encoded import EncodedAnswer
from veneer.layers._fan_out import FanOut
from veneer.operations import Endpoint, endpoint_of
from veneer.wire.framing import uncoded, with_length
from veneer.wire.usage import read_usage, usage_in_body

PARALLEL = 8


class EmbeddingsMiddleware(Layer):
    """Serves embeddings as they were asked for, whatever the model can do.

    `batches` is what becomes of one whose model takes none: `refuse`; `fan-out`, where each item is
    a call to the app below, `parallel` of them at a time and `max_items` at most, and the first
    that fails ends all; `pass`, for the app to judge. With `allow_singleton_list`, a list of one
    text is that text.

    `encoding` is who writes base64: the `upstream`, whose floats are rewritten all the same if it
    did not, or always we (`local`), for one that refuses to be asked for it. `caps` bound the
    content parts of an input.
    """

    writes = (Call, Unreached)

    def __init__(  # noqa: PLR0913 - each is a setting with a name and a default
        self,
        app: ASGIApp,
        *,
        batches: Batches = "refuse",
        allow_singleton_list: bool = False,
        parallel: int = PARALLEL,
        max_items: int = MAX_ITEMS,
        encoding: Encoding = "upstream",
        caps: Caps | None = None,
    ) -> None:
        if parallel < 1:
            raise ValueError("parallel is a number of calls: give 1 or more.")
        super().__init__(app)
        self._parallel = parallel
        self._planning = Planning(
            batches=batches,
            allow_singleton_list=allow_singleton_list,
            max_items=max_items,
            encoding=encoding,
            caps=caps,
        )

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass an embedding on, refuse it, or ask for its parts."""
        endpoint = scope[facts.SCOPE_KEY].get(Endpoint) or endpoint_of(scope)
        if endpoint is None or endpoint.operation.name != "embeddings":
            return self.below(scope, receive, send)
        return self._embed(scope, receive, send)

    async def _embed(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = await read_call(scope, receive)
        if isinstance(call, Error):
            await call(scope, receive, send)
            return
        client = client_of(scope, receive)
        resolved = facts.get(scope, Resolved)
        plan = self._planning.plan(None if resolved is None else resolved.model, client.kept)
        if isinstance(plan, Error):
            facts.put(scope, Unreached())
            await plan(scope, receive, send)
            return
        if plan.items:
            scope = {**scope, "headers": uncoded(scope["headers"])}
            await self._fan_out(plan, scope, receive, send)
            return
        if plan.body is not client.kept:
            scope = client.replace_body(scope, plan.body)
        if plan.base64:
            scope = {**scope, "headers": uncoded(scope["headers"])}
            send = EncodedAnswer(scope, receive, send).send
        await self.below(scope, receive, send)

    async def _fan_out(self, plan: Plan, scope: Scope, receive: Receive, send: Send) -> None:
        asking = FanOut(self.app, scope, parallel=self._parallel, base64=plan.base64)
        with client_of(scope, receive).while_connected():
            answer = await asking.run(plan.part, len(plan.items))
        if isinstance(answer, Error):
            await answer(scope, receive, send)
            return
        body = bytes(answer.body)
        raw = usage_in_body(body)
        usage = None if raw is None else read_usage(raw, Usage)
        if usage is not None:
            # The relay reads it, too, but not in an answer that is over its bound.
            facts.put(scope, usage)
        headers = with_length(answer.headers, len(body))
        start = {"type": "http.response.start", "status": answer.status, "headers": headers}
        await send(start)
        await send({"type": "http.response.body", "body": body})
