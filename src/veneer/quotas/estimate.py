"""What a call will cost in tokens, estimated before it is made; the truth comes with its usage."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec

from veneer.call import Call
from veneer.quotas.media import MediaTokens, media_in

# The operations whose tokens are counted; any other costs none.
ESTIMATED = frozenset(["chat.completions", "completions", "responses", "embeddings"])

# What the API gives a completion that does not say how long it may be.
COMPLETION_OUTPUT = 16

# What stands around texts that are given bare (an input, instructions), in tokens: 3 for each as a
# message and 3 before the answer; some chat templates write a little more.
FRAME = 16

# Text has about four characters in a token (OpenAI's own rule of thumb).
CHARACTERS = 4


class Estimate(msgspec.Struct, frozen=True, gc=False):
    """The tokens that a call is expected to cost: what the model reads, and what it writes."""

    input_tokens: int = 0
    output_tokens: int = 0

    @property
    def total(self) -> int:
        """Both together: what is taken of a limit."""
        return self.input_tokens + self.output_tokens


# Gets the call and its body, as the client sent it.
Estimator = Callable[[Call, bytes], Estimate]

NOTHING = Estimate()

# Estimators that are remembered, by what they go by: who asks for the same shares one.
MAX_REMEMBERED = 64


class Estimated(msgspec.Struct, frozen=True):
    """What an estimator has told of a call whose body had so many bytes.

    It lasts as long as the call, and the body may not.
    """

    by: Estimator
    call: Call
    size: int
    estimate: Estimate


def estimated(known: dict[type, Any], estimator: Estimator, call: Call, body: bytes) -> Estimate:
    """Return what an estimator tells of a call, of which these facts are known.

    Layers that ask the same one after the other share its answer.
    """
    made: Estimated | None = known.get(Estimated)
    if made is not None and made.by is estimator and made.call is call and made.size == len(body):
        return made.estimate
    estimate = estimator(call, body)
    known[Estimated] = Estimated(estimator, call, len(body), estimate)
    return estimate


def bound(*, default_output: int = 1024, media: MediaTokens | None = None) -> Estimator:
    """Return the estimator that a call of texts does not exceed, if it says how long it may be.

    The input is bounded by the bytes of its JSON text: a token of a byte-level vocabulary is a byte
    at least. Media cost what `media` says, which is an estimate; what the upstream puts in itself
    (stored conversations, pages that it searched) is not seen. The output is its cap, or
    `default_output` where none is given (16 for completions, which is the API's own), times the
    choices; embeddings have none. Raises ValueError for a negative default.
    """
    _check(default_output)
    return _bound(default_output, media or MediaTokens())


@lru_cache(MAX_REMEMBERED)
def _bound(default_output: int, costs: MediaTokens) -> Estimator:
    def estimate(call: Call, body: bytes) -> Estimate:
        if call.operation.name not in ESTIMATED:
            return NOTHING
        found = media_in(call.operation.name, body, costs)
        text = max(call.input_bytes - found.size, 0)
        return Estimate(text + found.tokens + FRAME, output_of(call, default_output))

    return estimate


def openai_formula(*, default_output: int = 0, media: MediaTokens | None = None) -> Estimator:
    """Return the estimator that OpenAI describes: the cap, or the input if that is more.

    The input is a token for four characters (bytes, where it is not ASCII), and what `media` says;
    the output counts as much as its cap times the choices is above that. OpenAI does not say what
    it takes where no cap is given: `default_output` is for that. Raises ValueError for a negative
    one.
    """
    _check(default_output)
    costs = media or MediaTokens()

    def estimate(call: Call, body: bytes) -> Estimate:
        if call.operation.name not in ESTIMATED:
            return NOTHING
        found = media_in(call.operation.name, body, costs)
        text = max(call.input_bytes - found.size, 0)
        tokens = -(-text // CHARACTERS) + found.tokens
        return Estimate(tokens, max(output_of(call, default_output) - tokens, 0))

    return estimate


def output_of(call: Call, default: int) -> int:
    """Return the most tokens that the answers may have, `default` for each without a cap."""
    name = call.operation.name
    if name == "embeddings":
        return 0
    if name == "completions":
        default = COMPLETION_OUTPUT
    return (call.output_cap or default) * call.choices


def _check(default_output: int) -> None:
    if default_output < 0:
        raise ValueError(f"default_output is {default_output}; give 0 or more tokens.")
