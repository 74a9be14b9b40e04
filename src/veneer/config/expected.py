"""What an option takes, in words, from its type."""

import math
from types import MappingProxyType
from typing import Any

from msgspec import inspect

from veneer.config.table import AMOUNT, HIDDEN

# What a mark says that an option takes, whatever its type.
_MARKED = MappingProxyType(
    {HIDDEN: "env:NAME or file:PATH", AMOUNT: 'an amount in quotes, such as "0.15"'}
)


def expected(kind: Any) -> str:
    """Return what values of a type are, to stand after "must be"."""
    return _words(inspect.type_info(kind))


def marks(kind: Any) -> frozenset[str]:
    """Return the marks (`Meta.extra`) on a type and on the types inside it."""
    return frozenset(_marks(inspect.type_info(kind)))


def description(kind: Any) -> str:
    """Return the description (`Meta.description`) of a type, empty where it has none."""
    info = inspect.type_info(kind)
    if isinstance(info, inspect.Metadata):
        return str((info.extra_json_schema or {}).get("description", ""))
    return ""


def holds_nan(value: Any) -> bool:
    """Whether a value is no number, which every comparison of a range lets through."""
    return isinstance(value, float) and math.isnan(value)


def _marks(info: inspect.Type) -> set[str]:
    if isinstance(info, inspect.Metadata):
        return set(info.extra or {}) | _marks(info.type)
    if isinstance(info, inspect.ListType):
        return _marks(info.item_type)
    if isinstance(info, inspect.UnionType):
        return set[str]().union(*map(_marks, info.types))
    return set()


def _words(info: inspect.Type) -> str:
    match info:
        case inspect.Metadata():
            named = [words for mark, words in _MARKED.items() if mark in (info.extra or {})]
            words = named[0] if named else _words(info.type)
        case inspect.ListType():
            words = f"a list, each item {_words(info.item_type)}"
        case inspect.UnionType():
            kinds = [kind for kind in info.types if not isinstance(kind, inspect.NoneType)]
            words = ", or ".join(map(_words, kinds))
        case inspect.DictType():
            words = f"a table, each value {_words(info.value_type)}"
        case inspect.LiteralType():
            words = " or ".join(f'"{value}"' for value in info.values)
        case inspect.IntType():
            words = f"a whole number{_range(info)}"
        case inspect.FloatType():
            words = f"a number{_range(info)}"
        case inspect.DateType():
            words = "a date such as 2026-01-31"
        case inspect.StrType():
            words = _string(info)
        case _:
            words = "true or false"
    return words


def _string(info: inspect.StrType) -> str:
    if info.pattern:
        return "the name of a header field"
    return "a string that is not empty" if info.min_length else "a string"


def _range(info: inspect.IntType | inspect.FloatType) -> str:
    least = f" of at least {info.ge}" if info.gt is None else f" above {info.gt}"
    if info.le is None:
        return least
    return f" from {info.ge} to {info.le}" if info.gt is None else f"{least} and up to {info.le}"
