"""POST /v1/moderations."""

import re
from types import MappingProxyType
from typing import Final

import msgspec

from .content import Part, read
from .error import DemoError
from .exchange import Reply, Request

_WORDS: Final = MappingProxyType(
    {
        "harassment": ("harass", "idiot", "stupid"),
        "harassment/threatening": ("threaten",),
        "hate": ("hate",),
        "hate/threatening": (),
        "illicit": ("counterfeit", "steal"),
        "illicit/violent": ("bomb",),
        "self-harm": ("suicide",),
        "self-harm/instructions": (),
        "self-harm/intent": (),
        "sexual": ("porn",),
        "sexual/minors": (),
        "violence": ("attack", "kill", "murder", "bomb"),
        "violence/graphic": ("gore",),
    }
)
_SCORE_IF_FOUND: Final = 0.9
_SCORE_IF_NOT: Final = 0.001


class ModerationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the body that the demo model heeds; the others are ignored."""

    input: str | list[str | Part]
    model: str | None = None


def moderation(request: Request) -> Reply:
    """Return the moderation object: a text is flagged for a few plain words, and no others.

    Without a `model`, the first moderation model on offer answers. Content parts are one input.
    """
    body = request.decode(ModerationRequest)
    model = body.model or request.catalogue.first("moderation")
    if model is None:
        raise DemoError(
            "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
        )
    request.catalogue.require(model, "moderation")
    results = [_result(text) for text in _texts(body.input)]
    return {"id": request.identify("modr-"), "model": model, "results": results}


def _texts(given: str | list[str | Part]) -> list[str]:
    if isinstance(given, str):
        return [given]
    texts = [item for item in given if isinstance(item, str)]
    parts = [item for item in given if isinstance(item, Part)]
    if texts and parts:
        raise DemoError("Texts and content parts cannot be mixed.", param="input")
    return [read(parts, "input").text] if parts else texts


def _result(text: str) -> dict[str, object]:
    words = set(re.findall(r"\w+", text.casefold()))
    categories = {name: not words.isdisjoint(bad) for name, bad in _WORDS.items()}
    return {
        "flagged": any(categories.values()),
        "categories": categories,
        "category_scores": {
            name: _SCORE_IF_FOUND if found else _SCORE_IF_NOT for name, found in categories.items()
        },
        "category_applied_input_types": {name: ["text"] for name in categories},
    }
