"""Media in a request: images, sound and files cost tokens, but not as many as they have bytes.

They are found where the APIs have them, in the content of messages and in the output of tools. A
medium that stands anywhere else, or in a body too odd to be read, counts by its bytes like text.
"""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import msgspec

from veneer.members import ABSENT

# More objects than that in a body are not looked through: what is in it counts by its bytes.
MAX_OBJECTS = 100_000

# The names without which a body holds no medium that we know.
MARKS: Mapping[str, tuple[bytes, ...]] = MappingProxyType(
    {
        "chat.completions": (b'"image_url"', b'"input_audio"', b'"file"'),
        "embeddings": (b'"image_url"', b'"input_image"'),
        "responses": (
            b'"input_image"',
            b'"input_file"',
            b'"input_audio"',
            b'"computer_screenshot"',
            b'"image_generation_call"',
        ),
    }
)

# How a PDF begins in base64, and as a data: URL.
PDF = (b'"JVBERi', b'"data:application/pdf')

BASE64_RATIO = 3 / 4


class MediaTokens(msgspec.Struct, frozen=True, kw_only=True):
    """What media are taken to cost, in tokens.

    `image_low` and `image_high` go by the image's `detail`, high unless it says low: 85, and 85 and
    170 for each of at most 8 tiles, are what OpenAI's gpt-4o takes; other models take up to several
    times as much. `audio` is the least that a sound costs, which is a token for each
    `audio_bytes` of it decoded (100 ms of MP3 at 128 kbit/s). `file` is the least that a PDF costs,
    or a file given by its id or URL, whose size is not known; a PDF costs a token for each
    `pdf_bytes` (pages of some 40 KB and 2,000 tokens, text and picture). Other files are text: they
    cost a token for each byte.
    """

    image_low: int = 85
    image_high: int = 1445
    audio: int = 300
    audio_bytes: int = 1600
    file: int = 2000
    pdf_bytes: int = 20


class Media(msgspec.Struct, frozen=True):
    """The media of a request: the bytes of JSON text that they take up, and what they cost."""

    size: int = 0
    tokens: int = 0


NONE = Media()


class Message(msgspec.Struct):
    """A message of a chat, or an item of a Responses call."""

    content: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    result: msgspec.Raw = ABSENT


class Part(msgspec.Struct):
    """A part of a content, in the forms of both APIs."""

    image_url: msgspec.Raw = ABSENT
    detail: msgspec.Raw = ABSENT
    input_audio: msgspec.Raw = ABSENT
    file: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT
    file_id: msgspec.Raw = ABSENT
    file_url: msgspec.Raw = ABSENT
    type: msgspec.Raw = ABSENT


class Data(msgspec.Struct):
    """What a medium is given as."""

    data: msgspec.Raw = ABSENT
    detail: msgspec.Raw = ABSENT
    file_data: msgspec.Raw = ABSENT


class Carrier(msgspec.Struct):
    """The member of a body that may hold media."""

    messages: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT


_carrier = msgspec.json.Decoder(Carrier)
_items = msgspec.json.Decoder(list[msgspec.Raw])
_messages = msgspec.json.Decoder(list[Message])
_parts = msgspec.json.Decoder(list[Part])
_part = msgspec.json.Decoder(Part)
_data = msgspec.json.Decoder(Data)


def media_in(operation: str, body: bytes, costs: MediaTokens) -> Media:
    """Return what the media of a call to this operation take up and cost."""
    # Not a generator, as most calls end here; and bytes are asked with `in` whether they are a
    # number first, which costs more than the search.
    for mark in MARKS.get(operation, ()):
        if body.find(mark) >= 0:
            break
    else:
        return NONE
    if body.count(b"{") > MAX_OBJECTS:
        return NONE
    try:
        carrier = _carrier.decode(body)
        if operation == "embeddings":
            return _sum(_embedded(carrier.input, costs))
        given = carrier.messages if operation == "chat.completions" else carrier.input
        if not begins(given, b"["):
            return NONE
        return _sum(_media_of(message, costs) for message in _messages.decode(given))
    except (ValueError, RecursionError):
        return NONE


def begins(raw: msgspec.Raw, head: bytes | tuple[bytes, ...]) -> bool:
    """Whether a text begins so, without a copy of all of it."""
    return bytes(memoryview(raw)[:32]).startswith(head)


def parts_of(content: msgspec.Raw) -> list[Part]:
    """Return the parts of a content; none where it is a text."""
    if begins(content, b"["):
        return _parts.decode(content)
    return [_part.decode(content)] if begins(content, b"{") else []


def _sum(found: Iterator[Media]) -> Media:
    size = tokens = 0
    for media in found:
        size += media.size
        tokens += media.tokens
    return Media(size, tokens)


def _media_of(message: Message, costs: MediaTokens) -> Media:
    media = [_part_media(part, costs) for part in parts_of(message.content)]
    media += [_part_media(part, costs) for part in parts_of(message.output)]
    if begins(message.result, b'"'):
        # An image that the model made before.
        media.append(Media(len(message.result), costs.image_high))
    return _sum(iter(media))


def _embedded(given: msgspec.Raw, costs: MediaTokens) -> Iterator[Media]:
    """Yield the media of an input: those of its content parts, or of each of a batch's."""
    if begins(given, b"["):
        for item in _items.decode(given):
            for part in parts_of(item):
                yield _part_media(part, costs)


def _part_media(part: Part, costs: MediaTokens) -> Media:
    if len(part.image_url) or begins(part.type, b'"input_image"'):
        given = _data.decode(part.image_url) if begins(part.image_url, b"{") else None
        detail = part.detail if given is None else given.detail
        tokens = costs.image_low if begins(detail, b'"low"') else costs.image_high
        return Media(len(part.image_url), tokens)
    if len(part.input_audio):
        data = _data.decode(part.input_audio).data
        tokens = max(costs.audio, int(len(data) * BASE64_RATIO) // costs.audio_bytes)
        return Media(len(data), tokens)
    if begins(part.file, b"{"):
        return _file(_data.decode(part.file).file_data, costs)
    if len(part.file_data) or len(part.file_url) or len(part.file_id):
        return _file(part.file_data, costs)
    return NONE


def _file(data: msgspec.Raw, costs: MediaTokens) -> Media:
    decoded = int(len(data) * BASE64_RATIO)
    if not decoded:
        return Media(0, costs.file)
    tokens = max(costs.file, decoded // costs.pdf_bytes) if begins(data, PDF) else decoded
    return Media(len(data), tokens)
