"""POST /v1/embeddings."""

import base64
import math
import struct
import zlib
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from .error import DemoError
from .exchange import Reply, Request
from .prompt import Prompts, read_prompts

DIMENSIONS: Final = 256
"""How long a vector is unless the request says otherwise."""

_MAX_INPUT_TOKENS: Final = 8_192
_MAX_TOKENS: Final = 300_000
_MAX_NUMBERS: Final = 2_000_000
_GRAM: Final = 3


class EmbeddingRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the body that the demo model heeds; the others are ignored."""

    model: str
    input: Prompts
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Meta(ge=1, le=3072)] | None = None


def embeddings(request: Request) -> Reply:
    """Return the list object; base64 is of little-endian 32-bit floats, as at OpenAI."""
    body = request.decode(EmbeddingRequest)
    request.catalogue.require(body.model, "embedding")
    prompts = read_prompts(body.input, "input")
    tokens = sum(prompt.tokens for prompt in prompts)
    dimensions = body.dimensions or DIMENSIONS
    longest = max(prompt.tokens for prompt in prompts)
    if longest > _MAX_INPUT_TOKENS or tokens > _MAX_TOKENS:
        raise DemoError(
            f"Requested {longest} tokens in one input and {tokens} in all; the most are "
            f"{_MAX_INPUT_TOKENS} and {_MAX_TOKENS}.",
            param="input",
            code="context_length_exceeded",
        )
    if len(prompts) * dimensions > _MAX_NUMBERS:
        raise DemoError(
            f"{len(prompts)} vectors of {dimensions} dimensions are too much for one request; "
            "send fewer inputs.",
            param="input",
        )
    packed = [_pack(embed(prompt.text, dimensions)) for prompt in prompts]
    data = [
        {
            "object": "embedding",
            "index": index,
            "embedding": base64.b64encode(vector).decode()
            if body.encoding_format == "base64"
            else struct.unpack(f"<{dimensions}f", vector),
        }
        for index, vector in enumerate(packed)
    ]
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "data": data, "model": body.model, "usage": usage}


def embed(text: str, dimensions: int) -> list[float]:
    """Return a unit vector; texts that share words, or parts of words, point the same way.

    Feature hashing: each run of three characters, letter case and the kind of white space aside,
    adds or takes one at a place that its hash chooses.
    """
    padded = f" {' '.join(text.casefold().split())} "
    vector = [0.0] * dimensions
    for start in range(max(len(padded) - _GRAM + 1, 1)):
        digest = zlib.crc32(padded[start : start + _GRAM].encode())
        vector[(digest >> 1) % dimensions] += 1.0 if digest & 1 else -1.0
    norm = math.sqrt(sum(number * number for number in vector))
    if not norm:
        # Every step was taken back by another: no direction is left, so take a fixed one.
        return [1.0, *vector[1:]]
    return [number / norm for number in vector]


def _pack(vector: list[float]) -> bytes:
    return struct.pack(f"<{len(vector)}f", *vector)
