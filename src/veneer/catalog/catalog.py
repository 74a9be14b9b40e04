"""The catalog: models by all the names that they go by."""

import re
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase, translate
from functools import lru_cache
from hashlib import sha256

import msgspec

from veneer.catalog.model import Model

# What makes a name stand for many, as in the price book: a shell's patterns, told apart by case.
WILDCARDS = "*?["
# Names whose model is remembered: what clients send is theirs, and may be anything.
MAX_REMEMBERED = 1024

# Sets in one order, so that all workers call the same models by the same version.
_encode = msgspec.json.Encoder(order="deterministic").encode


class Catalog:
    """Models in their order.

    `made` is when it was put together, in seconds since the epoch; `version` changes with what is
    in it.

    An exact name goes before a pattern (`*`, `?`, `[...]`), and of those the longest first. Raises
    ValueError for two models of one name, and for aliases of a model whose own id is a pattern.
    """

    def __init__(self, models: Sequence[Model], *, made: float = 0.0) -> None:
        self.models = tuple(models)
        self.made = made
        self.version = sha256(_encode(self.models)).hexdigest()[:12]
        self._exact: dict[str, Model] = {}
        patterns: dict[str, Model] = {}
        for model in models:
            for name in (model.id, *model.aliases):
                kept = patterns if stands_for_many(name) else self._exact
                if kept.setdefault(name, model) is not model:
                    raise ValueError(f"Two models go by the name {name!r}: give it to one of them.")
            if stands_for_many(model.id) and model.aliases:
                raise ValueError(
                    f"The model {model.id!r} stands for many, and so its aliases would for none: "
                    "name one model for them."
                )
        self._patterns = [
            (re.compile(translate(name)), patterns[name])
            for name in sorted(patterns, key=lambda name: (-len(name), name))
        ]
        self._find = lru_cache(MAX_REMEMBERED)(self._search)

    def find(self, name: str) -> Model | None:
        """Return the model that goes by a name, with the id that the upstream knows."""
        return self._exact.get(name) or self._find(name)

    def is_exact(self, name: str) -> bool:
        """Whether a model goes by this very name."""
        return name in self._exact

    def names(self) -> Iterator[tuple[str, Model]]:
        """Yield the names under which models are listed: ids, then aliases, without patterns."""
        for model in self.models:
            for name in (model.id, *model.aliases):
                if model.listed and not stands_for_many(name):
                    yield name, model

    def _search(self, name: str) -> Model | None:
        for pattern, model in self._patterns:
            if pattern.match(name):
                if stands_for_many(model.id):
                    return msgspec.structs.replace(model, id=name)
                return model
        return None


def stands_for_many(name: str) -> bool:
    """Whether a name is a pattern."""
    return any(letter in name for letter in WILDCARDS)


@lru_cache(MAX_REMEMBERED)
def matches(patterns: tuple[str, ...], name: str) -> bool:
    """Whether one of the patterns stands for a name, or is it."""
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
