"""Usage: the tokens that an upstream reports, in every shape that its APIs have."""

import math
from typing import Any

import msgspec

# Beyond this a number is no count; it is also where JSON readers stop being exact (RFC 8259 §6).
LARGEST = 2**53

_TERMINAL = (
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"image_generation.completed",
    b"image_edit.completed",
    b"transcript.text.done",
    b"speech.audio.done",
    b'"error"',
)
_TERMINAL_TYPES = frozenset(text.strip(b'"').decode() for text in _TERMINAL)


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """What a usage object counts; parts are contained in their totals."""

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    seconds: float = 0.0
    malformed: bool = False


class _Event(msgspec.Struct):
    usage: msgspec.Raw | None = None
    response: msgspec.Raw | None = None
    type: Any = None
    choices: msgspec.Raw | None = None


class _Choice(msgspec.Struct):
    finish_reason: Any = None


class _Choices(msgspec.Struct):
    choices: list[_Choice] = []


_event = msgspec.json.Decoder(_Event)
_choices = msgspec.json.Decoder(_Choices)


def read_usage(raw: bytes) -> Counts | None:
    """Return what a raw usage object counts, or None where it is null or no object.

    A member that is no count (negative, a fraction, text) counts nothing and marks the whole
    `malformed`.
    """
    try:
        usage = msgspec.json.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        return None
    if not isinstance(usage, dict):
        return None
    reader = _Reader()
    given = _part(usage, "prompt_tokens_details", "input_tokens_details", "input_token_details")
    made = _part(usage, "completion_tokens_details", "output_tokens_details")
    inputs = reader.count(usage, "prompt_tokens", "input_tokens")
    outputs = reader.count(usage, "completion_tokens", "output_tokens")
    total = reader.count(usage, "total_tokens")
    return Counts(
        input_tokens=inputs,
        output_tokens=outputs,
        total_tokens=total or inputs + outputs,
        cached_input_tokens=reader.count(given, "cached_tokens"),
        cache_write_tokens=reader.count(given, "cache_write_tokens"),
        reasoning_tokens=reader.count(made, "reasoning_tokens"),
        input_audio_tokens=reader.count(given, "audio_tokens"),
        output_audio_tokens=reader.count(made, "audio_tokens"),
        input_image_tokens=reader.count(given, "image_tokens"),
        output_image_tokens=reader.count(made, "image_tokens"),
        seconds=reader.seconds(usage),
        malformed=reader.malformed,
    )


def usage_in_body(data: bytes) -> bytes | None:
    """Return the raw usage object of a JSON answer, or None where it has none."""
    return _raw_usage(_decode(data)) if b'"usage"' in data else None


def usage_in_event(data: bytes) -> bytes | None:
    """Return the raw usage object of an event's data, its own or that of the response in it."""
    if b'"usage"' not in data:
        return None
    event = _decode(data)
    found = _raw_usage(event)
    if found is None and event is not None and event.response is not None:
        return _raw_usage(_decode(bytes(event.response)))
    return found


def is_usage_chunk(data: bytes) -> bool:
    """Whether this is the extra chunk of `include_usage`: no choices, and a usage object."""
    if b'"usage"' not in data or b'"choices"' not in data:
        return False
    event = _decode(data)
    return (
        event is not None
        and event.choices is not None
        and not bytes(event.choices).strip(b"[] \t\r\n")
        and _raw_usage(event) is not None
    )


def has_finish(data: bytes) -> bool:
    """Whether a chunk says of some choice why it finished."""
    if b'"finish_reason"' not in data:
        return False
    try:
        choices = _choices.decode(data).choices
    except (msgspec.DecodeError, RecursionError):
        return False
    return any(choice.finish_reason is not None for choice in choices)


def is_terminal_event(data: bytes) -> bool:
    """Whether a typed event is the last one of its stream."""
    if not any(kind in data for kind in _TERMINAL):
        return False
    event = _decode(data)
    return event is not None and isinstance(event.type, str) and event.type in _TERMINAL_TYPES


class _Reader:
    """Reads counts, and remembers whether any was none."""

    def __init__(self) -> None:
        self.malformed = False

    def count(self, usage: dict[str, Any], *names: str) -> int:
        """Return the first of these members that is there."""
        for name in names:
            value = usage.get(name)
            if value is None:
                continue
            if isinstance(value, float) and value.is_integer():
                value = int(value)
            if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= LARGEST:
                return value
            self.malformed = True
        return 0

    def seconds(self, usage: dict[str, Any]) -> float:
        """Return the length of audio that is billed by it."""
        value = usage.get("seconds", 0)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            if math.isfinite(value) and 0 <= value <= LARGEST:
                return float(value)
        self.malformed = True
        return 0.0


def _part(usage: dict[str, Any], *names: str) -> dict[str, Any]:
    for name in names:
        part = usage.get(name)
        if isinstance(part, dict):
            return part
    return {}


def _decode(data: bytes) -> _Event | None:
    try:
        return _event.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return None


def _raw_usage(event: _Event | None) -> bytes | None:
    if event is None or event.usage is None:
        return None
    raw = bytes(event.usage)
    return raw if raw[:1] == b"{" else None
