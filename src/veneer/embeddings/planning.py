"""What an embedding call asks of the app below: nothing, or one call, or one for each input."""

from collections.abc import Sequence
from typing import Literal

import msgspec

from veneer.catalog.model import Capability, Model
from veneer.dialects import Kind
from veneer.embeddings.inputs import Caps, Shape, TooManyItemsError, items_of, over_caps, shape_of
from veneer.errors import Error, unreadable
from veneer.members import may_repeat
from veneer.wire import splice

Batches = Literal["refuse", "fan-out", "pass"]
Encoding = Literal["upstream", "local"]

# As many as OpenAI takes.
MAX_ITEMS = 2048
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

    `given` is the text of its input, `base64` how the vectors are to be written.
    """

    body: bytes
    given: bytes
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


class Planning:
    """Plans calls by the options of `EmbeddingsMiddleware`; ValueError for those that cannot be."""

    def __init__(
        self,
        *,
        batches: Batches = "refuse",
        allow_singleton_list: bool = False,
        max_items: int = MAX_ITEMS,
        encoding: Encoding = "upstream",
        caps: Caps | None = None,
    ) -> None:
        if batches not in ("refuse", "fan-out", "pass"):
            raise ValueError(f"batches is {batches!r}: say 'refuse', 'fan-out' or 'pass'.")
        if encoding not in ("upstream", "local"):
            raise ValueError(f"encoding is {encoding!r}: say 'upstream' or 'local'.")
        if max_items < 1:
            raise ValueError("max_items is a number of calls: give 1 or more.")
        self._batches = batches
        self._allow_singleton = allow_singleton_list
        self._max_items = max_items
        self._local = encoding == "local"
        self._caps = caps or Caps()

    def plan(self, model: Model | None, body: bytes) -> Plan | Error:
        """Return what is to be asked of a model, None for an unknown one, or the call's error."""
        try:
            if may_repeat(body, _QUOTED):
                splice.members(body, NAMES)
            members = _decode(body)
            given = bytes(members.input)
            refused = over_caps(given, self._caps)
            if refused is not None:
                return refused
            base64 = bytes(members.encoding_format) == _BASE64
            if base64 and self._local:
                body = splice.replace(body, ("encoding_format",), _FLOAT)
            plan = Plan(body, given, base64)
            if self._batches == "pass" or model is None or model.can(BATCHES):
                return plan
            inputs = self._inputs(given)
            return inputs if isinstance(inputs, Error) else divided(plan, inputs)
        except (ValueError, RecursionError) as error:
            return unreadable(error)

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


def divided(plan: Plan, inputs: Sequence[bytes]) -> Plan | Error:
    """Return what is to be asked for these inputs of a call."""
    if not inputs:
        return plan
    start, end = splice.members(plan.body, NAMES)["input"]
    head, tail = plan.body[:start], plan.body[end:]
    if len(inputs) == 1:
        return msgspec.structs.replace(plan, body=head + inputs[0] + tail)
    if len(head) + len(tail) > MAX_BESIDE:
        return BESIDE
    return msgspec.structs.replace(plan, items=inputs, head=head, tail=tail)
