"""What an answer says of itself: its usage, in every shape that these APIs have, and its end.

The functions take JSON text: the data of an event, or a whole body. Text that cannot be read says
nothing, so none of them raises.
"""

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

import msgspec

from veneer.wire.surrogates import without_lone_surrogates

_T = TypeVar("_T")

# Beyond this a number is no count: JSON readers stop being exact (RFC 8259 §6).
LARGEST = 2**53

TERMINAL_TYPES = frozenset(
    [
        "response.completed",
        "response.incomplete",
        "response.failed",
        "image_generation.completed",
        "image_edit.completed",
        "transcript.text.done",
        "speech.audio.done",
        "error",
    ]
)


_Count = Annotated[int, msgspec.Meta(ge=0, le=LARGEST)]


class _Parts(msgspec.Struct):
    cached_tokens: _Count | None = None
    cache_write_tokens: _Count | None = None
    reasoning_tokens: _Count | None = None
    audio_tokens: _Count | None = None
    image_tokens: _Count | None = None


class _Sound(msgspec.Struct):
    """A usage whose every member that we read is of its type; most are."""

    prompt_tokens: _Count | None = None
    input_tokens: _Count | None = None
    completion_tokens: _Count | None = None
    output_tokens: _Count | None = None
    total_tokens: _Count | None = None
    prompt_tokens_details: _Parts | None = None
    input_tokens_details: _Parts | None = None
    input_token_details: _Parts | None = None
    completion_tokens_details: _Parts | None = None
    output_tokens_details: _Parts | None = None
    output_token_details: _Parts | None = None
    seconds: Annotated[float, msgspec.Meta(ge=0, le=LARGEST)] | None = None


_NO_PARTS = _Parts()


class _Carrier(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()
    choices: msgspec.Raw = msgspec.Raw()


class _Typed(msgspec.Struct):
    type: Any = None
    error: msgspec.Raw = msgspec.Raw()


class _Choice(msgspec.Struct):
    finish_reason: Any = None


class _Choices(msgspec.Struct):
    choices: list[_Choice] = []


_any = msgspec.json.Decoder().decode
_sound = msgspec.json.Decoder(_Sound | None).decode
_carrier = msgspec.json.Decoder(_Carrier)
_typed = msgspec.json.Decoder(_Typed)
_choices = msgspec.json.Decoder(_Choices)


def read_usage(raw: bytes, record: Callable[..., _T]) -> _T | None:
    """Return a `record` of what the text of a usage member counts; None where that is null.

    It is made with keywords: `input_tokens`, `output_tokens` and `total_tokens`; their parts
    `cached_input_tokens`, `cache_write_tokens`, `reasoning_tokens`, `input_audio_tokens`,
    `output_audio_tokens`, `input_image_tokens` and `output_image_tokens`; `seconds`; `malformed`.

    A number that is no count (negative, a fraction, above 2**53) and any other value count
    nothing, except that a number too large counts 2**53; each marks the whole `malformed`. Where
    an upstream gives both old and new names (`prompt_tokens`, `input_tokens`), the larger counts.
    A missing total is the sum of both sides.
    """
    try:
        usage = _sound(raw)
    except (ValueError, RecursionError):
        return _read_leniently(raw, record)
    if usage is None:
        return None
    asked = usage.prompt_tokens_details or usage.input_tokens_details
    asked = asked or usage.input_token_details or _NO_PARTS
    given = usage.completion_tokens_details or usage.output_tokens_details
    given = given or usage.output_token_details or _NO_PARTS
    inputs = max(usage.prompt_tokens or 0, usage.input_tokens or 0)
    outputs = max(usage.completion_tokens or 0, usage.output_tokens or 0)
    return record(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=usage.total_tokens or inputs + outputs,
        cached_input_tokens=asked.cached_tokens or 0,
        cache_write_tokens=asked.cache_write_tokens or 0,
        reasoning_tokens=given.reasoning_tokens or 0,
        input_audio_tokens=asked.audio_tokens or 0,
        output_audio_tokens=given.audio_tokens or 0,
        input_image_tokens=asked.image_tokens or 0,
        output_image_tokens=given.image_tokens or 0,
        seconds=usage.seconds or 0.0,
    )


def _read_leniently(raw: bytes, record: Callable[..., _T]) -> _T | None:
    """Read a usage that is not as it should be: whatever in it is a count."""
    try:
        usage = _any(raw)
    except (ValueError, RecursionError):
        return record(malformed=True)
    if usage is None:
        return None
    reader = _Reader()
    count = reader.count
    of = reader.members(usage).get
    asked = reader.members(
        of("prompt_tokens_details") or of("input_tokens_details") or of("input_token_details")
    ).get
    given = reader.members(
        of("completion_tokens_details") or of("output_tokens_details") or of("output_token_details")
    ).get
    inputs = max(count(of("prompt_tokens")), count(of("input_tokens")))
    outputs = max(count(of("completion_tokens")), count(of("output_tokens")))
    return record(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=count(of("total_tokens")) or inputs + outputs,
        cached_input_tokens=count(asked("cached_tokens")),
        cache_write_tokens=count(asked("cache_write_tokens")),
        reasoning_tokens=count(given("reasoning_tokens")),
        input_audio_tokens=count(asked("audio_tokens")),
        output_audio_tokens=count(given("audio_tokens")),
        input_image_tokens=count(asked("image_tokens")),
        output_image_tokens=count(given("image_tokens")),
        seconds=float(reader.number(of("seconds"))),
        malformed=reader.malformed,
    )


def usage_in_body(data: bytes) -> bytes | None:
    """Return the text of the usage object of an answer, its own or that of the `response` in it."""
    carrier = _decode(_carrier, data)
    if carrier is None:
        return None
    usage = bytes(carrier.usage)
    if usage.startswith(b"{"):
        return usage
    response = bytes(carrier.response)
    return usage_in_body(response) if response.startswith(b"{") else None


def usage_in_event(data: bytes) -> bytes | None:
    """Return the text of the usage object that an event's data carries, quick where it has none."""
    return usage_in_body(data) if _may_have(data, b'"usage"') else None


def is_usage_chunk(data: bytes) -> bool:
    """Tell whether this is the extra chunk of `include_usage`: no choices, and a usage object."""
    if not _may_have(data, b'"usage"'):
        return False
    carrier = _decode(_carrier, data)
    return (
        carrier is not None
        and bytes(carrier.choices).translate(None, b" \t\r\n") == b"[]"
        and bytes(carrier.usage).startswith(b"{")
    )


def has_finish(data: bytes) -> bool:
    """Tell whether a chunk says of some choice why it finished."""
    if not _may_have(data, b'"finish_reason"'):
        return False
    chunk = _decode(_choices, data)
    return chunk is not None and any(choice.finish_reason for choice in chunk.choices)


def is_terminal_event(data: bytes) -> bool:
    """Tell whether an event, of a stream that has no `[DONE]`, is its last by type or an error."""
    event = _decode(_typed, data)
    if event is None:
        return False
    if isinstance(event.type, str) and event.type in TERMINAL_TYPES:
        return True
    return bytes(event.error).startswith((b"{", b'"'))


class _Reader:
    """Reads counts, and remembers whether anything was none."""

    __slots__ = ("malformed",)

    def __init__(self) -> None:
        self.malformed = False

    def members(self, value: Any) -> dict[str, Any]:
        if isinstance(value, dict):
            return value
        self.malformed = self.malformed or value is not None
        return {}

    def count(self, value: Any) -> int:
        if type(value) is int and 0 <= value <= LARGEST:
            return value
        number = self.number(value)
        if number == int(number):
            return int(number)
        self.malformed = True
        return 0

    def number(self, value: Any) -> float:
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
            self.malformed = True
            return 0
        if value > LARGEST:
            self.malformed = True
            return LARGEST
        return value


def _may_have(data: bytes, key: bytes) -> bool:
    """Tell cheaply that a member is missing, or null in the one place where its name stands."""
    at = data.find(key)
    if at < 0:
        return False
    end = at + len(key)
    return not data.startswith((b":null", b": null"), end) or data.find(key, end) >= 0


def _decode(decoder: msgspec.json.Decoder[_T], data: bytes) -> _T | None:
    try:
        return decoder.decode(data)
    except RecursionError:
        return None
    except ValueError:
        mended = without_lone_surrogates(data)
        return None if mended == data else _decode(decoder, mended)
