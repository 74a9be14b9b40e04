"""The content of a message: a text, or parts of text and images."""

from collections.abc import Sequence

import msgspec

from .error import DemoError
from .tokens import IMAGE_TOKENS, count


class Part(msgspec.Struct, frozen=True):
    """A content part of chat completions or responses, by the names of either."""

    type: str
    text: str | None = None
    refusal: str | None = None


Content = str | list[Part] | None


class Said(msgspec.Struct, frozen=True):
    """What a content says: its text parts, joined by line feeds, and its images."""

    text: str = ""
    images: int = 0

    @property
    def tokens(self) -> int:
        """The tokens of the text and of the images."""
        return count(self.text) + self.images * IMAGE_TOKENS


def read(content: Content, param: str) -> Said:
    """Return what the content says; raise DemoError for a part of a kind the demo cannot read."""
    if content is None:
        return Said()
    if isinstance(content, str):
        return Said(content)
    return _read_parts(content, param)


def _read_parts(parts: Sequence[Part], param: str) -> Said:
    texts: list[str] = []
    images = 0
    for place, part in enumerate(parts):
        match part.type:
            case "text" | "input_text" | "output_text":
                texts.append(_text(part.text, f"{param}[{place}].text"))
            case "refusal":
                texts.append(_text(part.refusal, f"{param}[{place}].refusal"))
            case "image_url" | "input_image":
                images += 1
            case _:
                raise DemoError(
                    f"Invalid value: '{part.type[:64]}'. The demo model reads text and images.",
                    param=f"{param}[{place}].type",
                    code="invalid_value",
                )
    return Said("\n".join(texts), images)


def _text(text: str | None, param: str) -> str:
    if text is None:
        raise DemoError(
            f"Missing required parameter: '{param}'.",
            param=param,
            code="missing_required_parameter",
        )
    return text
