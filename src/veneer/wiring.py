"""Wiring: every fact that a layer reads needs a layer that writes it, on the right side of it.

Request facts travel inwards, so their writer must stand above the reader; response facts travel
outwards, so theirs must stand below. Layers are found by following `.app`, which every ASGI
middleware in the field calls what it wraps.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from veneer.facts import ResponseFact

# No stack is this high; an `app` that leads back to itself, or a mock, is.
MAX_HEIGHT = 100


class ConfigurationError(ValueError):
    """A setting, or a stack, that cannot work as it is; the message says how to mend it."""


def chain(app: Any) -> Iterator[Any]:
    """Yield the app and everything that it wraps, outermost first."""
    for _ in range(MAX_HEIGHT):
        if app is None:
            return
        yield app
        app = getattr(app, "app", None)


def written_by(parts: Iterable[Any]) -> frozenset[type]:
    """Return every fact type that these parts say they write."""
    return frozenset(kind for part in parts for kind in getattr(part, "writes", ()))


def check_below(layer: Any, provides: Iterable[type] = ()) -> None:
    """Refuse a layer that reads a response fact which nothing below it writes."""
    wanted = [kind for kind in layer.reads if issubclass(kind, ResponseFact)]
    if not wanted:
        return
    found = written_by(chain(layer.app)) | set(provides)
    for kind in wanted:
        if kind not in found:
            raise ConfigurationError(_sentence(layer, kind, "below"))


def check_above(parts: Sequence[Any], provides: Iterable[type] = ()) -> None:
    """Refuse a chain (outermost first) that reads a request fact before anything writes it."""
    found = set(provides)
    for part in parts:
        for kind in getattr(part, "reads", ()):
            if not issubclass(kind, ResponseFact) and kind not in found:
                raise ConfigurationError(_sentence(part, kind, "above"))
        found |= set(getattr(part, "writes", ()))


def _sentence(layer: Any, kind: type, side: str) -> str:
    name = type(layer).__name__
    writer = getattr(kind, "written_by", None) or f"a layer that writes {kind.__name__}"
    return (
        f"{name} reads {kind.__name__}, which nothing {side} it writes: "
        f"put {writer} {side} it, or say provides=[{kind.__name__}] if your own app writes it."
    )
