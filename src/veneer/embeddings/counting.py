"""How many tokens the input of an embedding has, about: by its texts and by its images."""

from typing import Any

import msgspec

from veneer.embeddings.inputs import IMAGES, MAX_COMMAS, VIDEOS, TooManyItemsError
from veneer.quotas.estimate import CHARACTERS
from veneer.quotas.media import MediaTokens

# A batch of content parts, or of tokens, is a list of lists.
_DEEPEST = 2


class Tokens(msgspec.Struct, frozen=True):
    """The tokens of an input, by what they are of."""

    text: int = 0
    image: int = 0
    video: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.text + self.image + self.video

    def __add__(self, other: "Tokens") -> "Tokens":
        """Return the tokens of both."""
        return Tokens(self.text + other.text, self.image + other.image, self.video + other.video)


NONE = Tokens()


def tokens_of(text: bytes, costs: MediaTokens) -> Tokens:
    """Return the tokens of an input, from its JSON text.

    A text has one for four bytes of UTF-8, tokens are counted, an image is what `costs` says; of a
    video is only known what its part says as text. Raises ValueError for what is no input, and
    `TooManyItemsError` for a list that is too long to be counted.
    """
    if text.count(b",") > MAX_COMMAS and text[:1] != b'"':
        raise TooManyItemsError
    return _count(msgspec.json.decode(text), costs, _DEEPEST)


def _count(given: Any, costs: MediaTokens, deep: int) -> Tokens:
    if isinstance(given, str):
        return Tokens(-(-len(given.encode()) // CHARACTERS))
    if isinstance(given, list) and deep:
        if all(type(item) is int for item in given):
            return Tokens(len(given))
        return sum((_count(item, costs, deep - 1) for item in given), NONE)
    if isinstance(given, dict) and deep < _DEEPEST:
        return _part(given, costs)
    raise ValueError("it is no text, no list of texts or tokens, and no content parts")


def _part(part: dict[str, Any], costs: MediaTokens) -> Tokens:
    kind = part.get("type")
    if isinstance(kind, str) and kind in IMAGES:
        where = part.get("image_url")
        said = where if isinstance(where, dict) else part
        low = said.get("detail") == "low"
        return Tokens(0, costs.image_low if low else costs.image_high)
    if isinstance(kind, str) and kind in VIDEOS:
        return Tokens(0, 0, -(-len(msgspec.json.encode(part)) // CHARACTERS))
    text = part.get("text")
    return Tokens(-(-len(text.encode()) // CHARACTERS)) if isinstance(text, str) else NONE
