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

from collections.abc import Sequence
from typing import Literal

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import Call, read_call
from veneer.catalog.model import Capability, Resolved
from veneer.client import client_of
from veneer.dialects import Kind
from veneer.embeddings.inputs import Caps, Shape, TooManyItemsError, items_of, over_caps, shape_of
from veneer.errors import Error
from veneer.facts import Unreached, Usage
from veneer.layer import Layer
from veneer.layers._encoded import EncodedAnswer
from veneer.layers._fan_out import FanOut
from veneer.members import may_repeat
from veneer.operations import endpoint_of
from veneer.wire import splice
from veneer.wire.framing import uncoded, with_length
from veneer.wire.usage import read_usage, usage_in_body

Batches = Literal["refuse", "fan-out", "pass"]
Encoding = Literal["upstream", "local"]

# As many as OpenAI takes.
MAX_ITEMS = 2048
PARALLEL = 8
# Bytes of a body beside its input: they go along with each part of a batch.
MAX_BESIDE = 16 * 1024

NAMES = ("input", "encoding_format")
_QUOTED = tuple(b'"%b"' % name.encode() for name in NAMES)
BATCHES: Capability = "embeddings_batch"
_BASE64 = b'"base64"'
_FLOAT = b'"float"'

BATCH = Error(
    Kind.EMBEDDINGS_BATCH,
    "This model embeds one input a call: give 'input' as one text, not as a list.",
    param="input",
)
BESIDE = Error(
    Kind.EMBEDDINGS_TOO_LARGE,
    f"What stands beside the 'input' of a batch for this model is over {MAX_BESIDE} bytes.",
    param="input",
)
EMPTY = Error(Kind.INVALID_VALUE, "'input' is an empty list.", param="input")


class Plan(msgspec.Struct, frozen=True):
    """What goes to the app below: a body, or with `items` one for each, between `head` and `tail`.

    `base64` is how the vectors are to be written.
    """

    body: bytes
    base64: bool
    items: Sequence[bytes] = ()
    head: bytes = b""
    tail: bytes = b""

    def part(self, place: int) -> bytes:
        """Return the body of one part."""
        return b"%b%b%b" % (self.head, self.items[place], self.tail)


class _Members(msgspec.Struct):
    input: msgspec.Raw = msgspec.Raw()
    encoding_format: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Members).decode


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
        if batches not in ("refuse", "fan-out", "pass"):
            raise ValueError(f"batches is {batches!r}: say 'refuse', 'fan-out' or 'pass'.")
        if encoding not in ("upstream", "local"):
            raise ValueError(f"encoding is {encoding!r}: say 'upstream' or 'local'.")
        if parallel < 1 or max_items < 1:
            raise ValueError("parallel and max_items are numbers of calls: give 1 or more.")
        super().__init__(app)
        self._batches = batches
        self._allow_singleton = allow_singleton_list
        self._parallel = parallel
        self._max_items = max_items
        self._local = encoding == "local"
        self._caps = caps or Caps()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass an embedding on, refuse it, or ask for its parts."""
        endpoint = endpoint_of(scope)
        if endpoint is None or endpoint.operation.name != "embeddings":
            await self.app(scope, receive, send)
            return
        call = await read_call(scope, receive)
        if isinstance(call, Error):
            await call(scope, receive, send)
            return
        client = client_of(scope, receive)
        plan = self._plan(scope, client.kept)
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
        await self.app(scope, receive, send)

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

    def _plan(self, scope: Scope, body: bytes) -> Plan | Error:
        """Return what is to be asked, or the error that the call gets."""
        try:
            if may_repeat(body, _QUOTED):
                splice.members(body, NAMES)
            members = _decode(body)
            text = bytes(members.input)
            refused = over_caps(text, self._caps)
            if refused is not None:
                return refused
            base64 = bytes(members.encoding_format) == _BASE64
            if base64 and self._local:
                body = splice.replace(body, ("encoding_format",), _FLOAT)
            resolved = facts.get(scope, Resolved)
            if self._batches == "pass" or resolved is None or resolved.model.can(BATCHES):
                return Plan(body, base64)
            inputs = self._inputs(text)
            return inputs if isinstance(inputs, Error) else divided(body, inputs, base64=base64)
        except splice.DuplicateMemberError as error:
            return Error(
                Kind.INVALID_JSON, f"The member '{error.name}' stands twice.", param=error.name
            )
        except ValueError as error:
            return Error(Kind.INVALID_JSON, f"The request body cannot be read: {error}.")

    def _inputs(self, text: bytes) -> list[bytes] | Error:
        """Return the inputs of a call, each to be asked for alone; none where it is one already."""
        shape = shape_of(text)
        if shape in (Shape.ONE, Shape.PARTS):
            return []
        if shape is Shape.EMPTY:
            return EMPTY
        fans = self._batches == "fan-out"
        if shape is Shape.TOKENS:
            return [] if fans else BATCH
        try:
            items = items_of(text, self._max_items)
        except TooManyItemsError:
            return self._too_many() if fans else BATCH
        if fans:
            return items
        alone = len(items) == 1 and shape_of(items[0]) in (Shape.ONE, Shape.PARTS)
        return items if alone and self._allow_singleton else BATCH

    def _too_many(self) -> Error:
        return Error(
            Kind.EMBEDDINGS_TOO_MANY,
            f"'input' holds more than {self._max_items} inputs.",
            param="input",
        )


def divided(body: bytes, inputs: Sequence[bytes], *, base64: bool) -> Plan | Error:
    """Return what is to be asked for these inputs of a body."""
    if not inputs:
        return Plan(body, base64)
    start, end = splice.members(body, NAMES)["input"]
    head, tail = body[:start], body[end:]
    if len(inputs) == 1:
        return Plan(head + inputs[0] + tail, base64)
    return BESIDE if len(head) + len(tail) > MAX_BESIDE else Plan(body, base64, inputs, head, tail)
