"""What a call may use at the most: tokens, images, sound, and calls of hosted tools."""

from collections.abc import Mapping, Sequence

import msgspec

from veneer.call import Call
from veneer.quotas.estimate import FRAME, Estimate
from veneer.wire import fields

# No model that is known takes more tokens for an image that it makes, or is given.
IMAGE_TOKENS = 8192

# The most images that the API makes of an upload, whose `n` is not read.
UPLOADED_IMAGES = 10

# Sound as it is taken to be before it is heard: 32 kbit/s, ten tokens a second, and what is said in
# it, by fast speakers. An upload that does not say how long it is has the most that the API takes.
SOUND_BYTES = 4000
SOUND_TOKENS = 10
SPOKEN_TOKENS = 5
UPLOAD = 25 * 1024 * 1024
MAX_DIGITS = 12


class Need(msgspec.Struct, frozen=True, gc=False):
    """What a call may use: tokens, images that are made, seconds of sound that are heard.

    `tools` are the calls of hosted tools, by name, that have a price.
    """

    tokens: Estimate
    images: int = 0
    seconds: float = 0.0
    tools: Mapping[str, int] = {}


def need_beside_texts(
    call: Call, headers: Sequence[tuple[bytes, bytes]], *, default_output: int
) -> Need:
    """Return what a call may use that makes images, or speaks, or hears.

    Of sound no more than `default_output` tokens are said, if it is not long.
    """
    name = call.operation.name
    text = call.input_bytes + FRAME
    if name == "audio.speech":
        return Need(Estimate(text))
    if name.startswith("images."):
        # Of an upload is not known how many images it asks for.
        uploaded = name != "images.generations"
        images = UPLOADED_IMAGES if uploaded else call.choices
        given = IMAGE_TOKENS if uploaded else 0
        return Need(Estimate(text + given, IMAGE_TOKENS * images), images)
    seconds = max(1, _uploaded(headers) // SOUND_BYTES)
    written = max(default_output, seconds * SPOKEN_TOKENS)
    return Need(Estimate(text + seconds * SOUND_TOKENS, written), 0, float(seconds))


def _uploaded(headers: Sequence[tuple[bytes, bytes]]) -> int:
    """Return how many bytes a request has, as far as it says so."""
    length = fields.get(headers, b"content-length") or b""
    return int(length) if length.isdigit() and len(length) <= MAX_DIGITS else UPLOAD
