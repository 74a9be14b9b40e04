"""Rules: what the members of `gateway` may be, and the errors of those that are something else."""

import math
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any

import msgspec

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.wire import splice

# Eleven days: nobody waits longer, and no arithmetic on it fails.
MOST_MS = 10**9
MOST_NUMBER = 1e12
MOST_ATTEMPTS = 19
# Characters of a name, and names in a list.
LONGEST_NAME = 200
MOST_NAMES = 100
# Characters of a member's name that are looked at, and shown, where it is not known.
LONGEST_MEMBER = 64

# Gets the text of a member's value, and its path. Raises `RefusedError`.
Rule = Callable[[bytes, str], Any]


class RefusedError(Exception):
    """A member is not what it may be; `error` is what its client gets."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


_bool = msgspec.json.Decoder(bool).decode
_int = msgspec.json.Decoder(int).decode
_float = msgspec.json.Decoder(float).decode
_str = msgspec.json.Decoder(str).decode
_strs = msgspec.json.Decoder(list[str]).decode
_fields = msgspec.json.Decoder(dict[str, str]).decode


def refused(kind: Kind, path: str, sentence: str, suggestion: str | None = None) -> RefusedError:
    """Return what refuses the member at a path."""
    return RefusedError(Error(kind, sentence, param=path, suggestion=suggestion))


def flag(text: bytes, path: str) -> bool:
    """Read true or false."""
    return bool(_read(_bool, text, path, "true or false"))


def choice(*known: str) -> Rule:
    """Return the rule of a member that is one of some words."""
    words = f"one of {', '.join(known)}"

    def read(text: bytes, path: str) -> str:
        said = str(_read(_str, text, path, words))
        if said not in known:
            near = _nearest(said, known)
            advice = None if near is None else f"Did you mean '{near}'?"
            raise refused(Kind.INVALID_VALUE, path, _sentence(path, words, advice), advice)
        return said

    return read


def whole(most: int, unit: str = "whole number") -> Rule:
    """Return the rule of a member that is a whole number from 1 on."""
    words = f"a {unit}, 1 to {most}"

    def read(text: bytes, path: str) -> int:
        number = int(_read(_int, text, path, words))
        if not 1 <= number <= most:
            raise refused(Kind.OUT_OF_RANGE, path, _sentence(path, words))
        return number

    return read


def positive(text: bytes, path: str) -> float:
    """Read a number above 0."""
    words = f"a number above 0, {MOST_NUMBER:g} at the most"
    number = float(_read(_float, text, path, words))
    if not 0 < number <= MOST_NUMBER:
        raise refused(Kind.OUT_OF_RANGE, path, _sentence(path, words))
    return number


def weight(text: bytes, path: str) -> float:
    """Read a number that is not below 0."""
    words = f"a number, 0 to {MOST_NUMBER:g}"
    number = float(_read(_float, text, path, words))
    if not 0 <= number <= MOST_NUMBER:
        raise refused(Kind.OUT_OF_RANGE, path, _sentence(path, words))
    return math.fabs(number)


def name(most: int = LONGEST_NAME) -> Rule:
    """Return the rule of a member that is a name: printable, and not too long."""
    words = f"a text of 1 to {most} printable characters"

    def read(text: bytes, path: str) -> str:
        said = str(_read(_str, text, path, words))
        if not is_name(said, most):
            raise refused(Kind.INVALID_VALUE, path, _sentence(path, words))
        return said

    return read


def names(*, least: int, most: int, longest: int = LONGEST_NAME) -> Rule:
    """Return the rule of a member that is a list of names."""
    words = f"a list of {least} to {most} texts, of 1 to {longest} printable characters each"

    def read(text: bytes, path: str) -> tuple[str, ...]:
        said: list[str] = _read(_strs, text, path, words)
        fits = least <= len(said) <= most and all(is_name(each, longest) for each in said)
        if not fits:
            raise refused(Kind.INVALID_VALUE, path, _sentence(path, words))
        return tuple(said)

    return read


def fields(*, most: int, longest_name: int, longest: int) -> Rule:
    """Return the rule of a member that is an object of texts."""
    words = (
        f"an object of up to {most} texts of {longest} characters at the most, with names of 1 to "
        f"{longest_name} printable characters"
    )

    def read(text: bytes, path: str) -> Mapping[str, str]:
        said: dict[str, str] = _read(_fields, text, path, words)
        fits = len(said) <= most and all(
            is_name(key, longest_name) and len(value) <= longest for key, value in said.items()
        )
        if not fits:
            raise refused(Kind.INVALID_VALUE, path, _sentence(path, words))
        return said

    return read


def members(
    text: bytes, path: str, rules: Mapping[str, Rule], elsewhere: Mapping[str, str] = {}
) -> dict[str, Any]:
    """Return the members of an object, read by their rules; those that are null are left out.

    `elsewhere` says of other names at which path they belong.
    """
    if text[:1] != b"{":
        raise refused(Kind.INVALID_TYPE, path, _sentence(path, "an object"))
    try:
        spans = splice.members(text)
    except splice.DuplicateMemberError as error:
        twice = f"{path}.{error.name[:LONGEST_MEMBER]}"
        raise refused(Kind.INVALID_VALUE, twice, f"'{twice}' stands twice.") from error
    except ValueError as error:
        raise refused(Kind.INVALID_VALUE, path, f"'{path}' cannot be read.") from error
    for key in spans:
        if key not in rules:
            near = None if key in elsewhere else _nearest(key, tuple(rules))
            raise unknown(key, path, elsewhere.get(key) or (near and f"{path}.{near}"))
    said = {key: text[slice(*span)] for key, span in spans.items()}
    return {
        key: rules[key](value, f"{path}.{key}") for key, value in said.items() if value != b"null"
    }


def unknown(key: str, path: str, near: str | None) -> RefusedError:
    """Return what refuses a member that there is not, with the one that may be meant."""
    advice = None if near is None else f"Did you mean '{near}'?"
    there = f"{path}.{key[:LONGEST_MEMBER]}"
    sentence = f"Unknown parameter: '{there}'."
    if advice is not None:
        sentence = f"{sentence} {advice}"
    return refused(Kind.UNKNOWN_PARAMETER, there, sentence, advice)


def is_name(text: str, most: int) -> bool:
    """Whether a text can be shown and compared."""
    return 1 <= len(text) <= most and text.isprintable()


def _read(decode: Callable[[bytes], Any], text: bytes, path: str, words: str) -> Any:
    try:
        return decode(text)
    except (ValueError, RecursionError) as error:
        # Of a number that is one, only its size is wrong.
        digits = decode is _float and text[:1] in b"-0123456789"
        kind = Kind.OUT_OF_RANGE if digits else Kind.INVALID_TYPE
        raise refused(kind, path, _sentence(path, words)) from error


def _sentence(path: str, words: str, advice: str | None = None) -> str:
    said = f"'{path}' must be {words}."
    return said if advice is None else f"{said} {advice}"


def _nearest(text: str, known: tuple[str, ...]) -> str | None:
    """Return the word that is most like a text; long ones are like none, and costly to compare."""
    if len(text) > LONGEST_MEMBER:
        return None
    found = get_close_matches(text.lower(), known, 1)
    return found[0] if found else None
