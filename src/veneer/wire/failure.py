"""What an answer, or an event of one, says of a failure."""

from typing import Any

import msgspec


class _Said(msgspec.Struct):
    error: Any = None
    type: Any = None


_said = msgspec.json.Decoder(_Said)


def says_error(data: bytes) -> bool:
    """Whether an event tells of an error, in the chunks' form or in that of the Responses API."""
    said = _read(data)
    return said.error is not None or said.type == "error"


def says_failed(data: bytes) -> bool:
    """Whether an event brings a response that has failed."""
    return bool(_read(data).type == "response.failed")


def _read(data: bytes) -> _Said:
    try:
        return _said.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return _Said()
