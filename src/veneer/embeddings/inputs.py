"""The input of an embedding call: one text, a batch, or content parts with their caps."""

from enum import Enum
from typing import Any

import msgspec

from veneer.dialects import Kind
from veneer.errors import Error

# A list with more commas is not taken apart, while nobody else is served. OpenAI takes 300,000
# tokens a batch.
MAX_COMMAS = 400_000

_items = msgspec.json.Decoder(list[msgspec.Raw]).decode

IMAGES = frozenset(["image_url", "image", "input_image"])
VIDEOS = frozenset(["video_url", "video", "input_video"])
_WHERE = ("image_url", "video_url", "url")


class Shape(Enum):
    """What the text of an input begins like."""

    ONE = "one"
    EMPTY = "empty"
    TOKENS = "tokens"
    PARTS = "parts"
    BATCH = "batch"


class Caps(msgspec.Struct, frozen=True, kw_only=True):
    """What one input of content parts may have: `text` in characters, `url` likewise."""

    parts: int = 16
    images: int = 8
    videos: int = 0
    text: int = 1_000_000
    url: int = 2048


class TooManyItemsError(ValueError):
    """A list is too long to be taken apart."""


class _Part(msgspec.Struct):
    type: Any = None
    text: Any = None
    image_url: Any = None
    video_url: Any = None
    url: Any = None


_parts = msgspec.json.Decoder(list[_Part]).decode


def shape_of(text: bytes) -> Shape:
    """Return what the JSON text of an input is."""
    if text[:1] != b"[":
        return Shape.ONE
    first = text[1:].lstrip(b" \t\r\n")[:1]
    if first == b"]":
        return Shape.EMPTY
    if first == b"{":
        return Shape.PARTS
    return Shape.BATCH if first in (b'"', b"[") else Shape.TOKENS


def items_of(text: bytes, most: int = MAX_COMMAS) -> list[bytes]:
    """Return the text of each item of a list; raises `TooManyItemsError` for more than `most`."""
    if text.count(b",") > MAX_COMMAS:
        raise TooManyItemsError
    items = _items(text)
    if len(items) > most:
        raise TooManyItemsError
    return [bytes(item) for item in items]


def over_caps(text: bytes, caps: Caps) -> Error | None:
    """Return the error of an input whose content parts are more than they may be."""
    shape = shape_of(text)
    if shape is Shape.PARTS:
        return _judge(text, caps, "input")
    # In a text the quotes of a name would stand behind backslashes.
    if shape is not Shape.BATCH or (b'"type"' not in text and b"\\u" not in text):
        return None
    try:
        items = items_of(text)
    except TooManyItemsError:
        return TOO_LONG
    for place, item in enumerate(items):
        if item[:1] == b"{":
            item = b"[%b]" % item  # noqa: PLW2901 - one part alone
        if shape_of(item) is Shape.PARTS:
            error = _judge(item, caps, f"input[{place}]")
            if error is not None:
                return error
    return None


TOO_LONG = Error(
    Kind.EMBEDDINGS_TOO_LARGE, "'input' holds too much to be taken apart.", param="input"
)


def _judge(text: bytes, caps: Caps, param: str) -> Error | None:
    if text.count(b",") > MAX_COMMAS:
        return TOO_LONG
    try:
        parts = _parts(text)
    except (msgspec.DecodeError, RecursionError):
        return Error(
            Kind.INVALID_TYPE,
            f"'{param}' mixes content parts with something else, or holds none.",
            param=param,
        )
    return _too_much(parts, caps, param) or next(
        (
            error
            for place, part in enumerate(parts)
            if (error := _too_long(part, caps, f"{param}[{place}]")) is not None
        ),
        None,
    )


def _too_much(parts: list[_Part], caps: Caps, param: str) -> Error | None:
    if len(parts) > caps.parts:
        return _too_many(param, "content parts", caps.parts)
    if sum(_is_of(part, IMAGES) for part in parts) > caps.images:
        return _too_many(param, "images", caps.images)
    videos = [place for place, part in enumerate(parts) if _is_of(part, VIDEOS)]
    if len(videos) > caps.videos:
        what = f"at most {caps.videos} videos are" if caps.videos else "videos are not"
        return Error(
            Kind.EMBEDDINGS_MEDIA,
            f"In 'input', {what} embedded.",
            param=f"{param}[{videos[caps.videos]}].type",
        )
    return None


def _is_of(part: _Part, kinds: frozenset[str]) -> bool:
    return isinstance(part.type, str) and part.type in kinds


def _too_long(part: _Part, caps: Caps, param: str) -> Error | None:
    if isinstance(part.text, str) and len(part.text) > caps.text:
        return Error(
            Kind.EMBEDDINGS_TOO_LARGE,
            f"'{param}.text' is over {caps.text} characters.",
            param=f"{param}.text",
        )
    for name in _WHERE:
        said = getattr(part, name)
        where = f"{param}.{name}"
        if isinstance(said, dict):
            said, where = said.get("url"), f"{where}.url"
        if isinstance(said, str) and len(said) > caps.url:
            return Error(
                Kind.EMBEDDINGS_TOO_LARGE, f"'{where}' is over {caps.url} characters.", param=where
            )
    return None


def _too_many(param: str, what: str, most: int) -> Error:
    return Error(Kind.EMBEDDINGS_TOO_MANY, f"'{param}' holds more than {most} {what}.", param=param)
