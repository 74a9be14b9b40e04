"""The inputs of completions and of embeddings: texts, or lists of token numbers."""

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .error import DemoError
from .tokens import count

MAX_PROMPTS: Final = 2_048
"""The most inputs that one request may hold."""

Token = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Prompts = str | list[str | Token | list[Token]]


class Prompt(msgspec.Struct, frozen=True):
    """One input. Token numbers are read as a text of their decimal digits."""

    text: str
    tokens: int


def read_prompts(prompts: Prompts, param: str) -> list[Prompt]:
    """Return the inputs: a text, a list of texts, one list of tokens, or a list of such lists.

    Raises DemoError for none, for an empty one, for too many, and for a list of mixed kinds.
    """
    if isinstance(prompts, str):
        return [_text(prompts, param)]
    if prompts and all(isinstance(item, int) for item in prompts):
        return [_numbers([item for item in prompts if isinstance(item, int)], param)]
    if not 1 <= len(prompts) <= MAX_PROMPTS:
        raise _invalid(param, f"give between 1 and {MAX_PROMPTS} inputs")
    read = []
    for place, item in enumerate(prompts):
        here = f"{param}[{place}]"
        if isinstance(item, int) or type(item) is not type(prompts[0]):
            raise _invalid(here, "texts, tokens and lists of tokens cannot be mixed")
        read.append(_text(item, here) if isinstance(item, str) else _numbers(item, here))
    return read


def _text(text: str, param: str) -> Prompt:
    if not text:
        raise _invalid(param, "it is empty")
    return Prompt(text, count(text))


def _numbers(numbers: list[int], param: str) -> Prompt:
    if not numbers:
        raise _invalid(param, "it is empty")
    return Prompt(" ".join(map(str, numbers)), len(numbers))


def _invalid(param: str, reason: str) -> DemoError:
    return DemoError(f"Invalid value for '{param}': {reason}.", param=param, code="invalid_value")
