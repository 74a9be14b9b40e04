"""The demo server's refusals, in the envelope of OpenAI's API."""

import re
from typing import Final

import msgspec

_PATH: Final = re.compile(r" - at `\$\.?(.*)`$")
_MISSING: Final = re.compile(r"Object missing required field `(.*)`")


class DemoError(Exception):
    """A request that the demo server refuses.

    Takes the sentence for the caller, the HTTP status, the request field at fault (`param`, as in
    `messages[0].content`), OpenAI's short `code`, and the methods for an `Allow` header.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 400,
        param: str | None = None,
        code: str | None = None,
        allow: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.param = param
        self.code = code
        self.allow = allow

    def document(self) -> dict[str, object]:
        """Return the error envelope; all four members are always there."""
        return {
            "error": {
                "message": self.message,
                "type": "invalid_request_error",
                "param": self.param,
                "code": self.code,
            }
        }


class SchemaError(Exception):
    """A JSON Schema for which no value is made; the text says why."""


def from_validation(error: msgspec.ValidationError) -> DemoError:
    """Return the refusal for a body of the wrong shape, naming the field in OpenAI's notation."""
    text = str(error)
    found = _PATH.search(text)
    param = found[1] if found else ""
    sentence = text[: found.start()] if found else text
    missing = _MISSING.match(sentence)
    if missing:
        param = f"{param}.{missing[1]}" if param else missing[1]
        return DemoError(
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
    mistyped = ", got " in sentence
    noun = "type" if mistyped else "value"
    return DemoError(
        f"Invalid {noun} for '{param or 'body'}': {sentence.replace('`', '')}.",
        param=param or None,
        code=f"invalid_{noun}",
    )
