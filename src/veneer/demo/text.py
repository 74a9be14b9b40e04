"""A deterministic string for the string keywords of a JSON Schema."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

from .error import SchemaError

_MAX_LENGTH: Final = 10_000
_FORMATS: Final = MappingProxyType(
    {
        "date": "2026-01-01",
        "date-time": "2026-01-01T12:00:00Z",
        "time": "12:00:00Z",
        "duration": "PT1H",
        "email": "demo@example.com",
        "hostname": "demo.example.com",
        "ipv4": "192.0.2.1",
        "ipv6": "2001:db8::1",
        "uri": "https://demo.example.com/",
        "uuid": "00000000-0000-4000-8000-000000000000",
    }
)


def string(schema: Mapping[str, Any], name: str) -> str:
    """Return a string of a fitting length, counted in code points, for a property called `name`.

    A known `format` has its sample. Raises SchemaError if the lengths are malformed, cross, or
    ask for more than 10,000 characters.
    """
    shortest, longest = length(schema, "minLength", 0), length(schema, "maxLength", _MAX_LENGTH)
    if shortest > min(longest, _MAX_LENGTH):
        raise SchemaError("no string has a fitting length")
    form = schema.get("format")
    text = _FORMATS.get(form, "") if isinstance(form, str) else ""
    text = text or f"demo {name}"
    return text[:longest].ljust(shortest, ".")


def length(schema: Mapping[str, Any], keyword: str, default: int) -> int:
    """Return the length that a keyword gives, or the default; raise SchemaError if it is none."""
    found = schema.get(keyword, default)
    if not isinstance(found, int) or found < 0:
        raise SchemaError(f"{keyword} is not a length")
    return found
