"""Loading: from a TOML file to `Config`, with a sentence for everything that is wrong with it."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from veneer.config.expected import expected, holds_nan, marks
from veneer.config.inner import Inner, inner_table
from veneer.config.secret import anchored, is_reference
from veneer.config.store_url import anchored_store
from veneer.config.table import FILE, HIDDEN, STORE, Table
from veneer.config.tables import Config
from veneer.wiring import ConfigurationError

Document = Mapping[str, Any]

# What is longer is cut where it is shown.
MAX_SHOWN = 60


class Place(msgspec.Struct, frozen=True):
    """Where in a document a table stands, as sentences have it; `number` counts those of a list.

    `of` is the table of a list that it stands in.
    """

    path: str = ""
    many: bool = False
    number: int = 0
    of: "Place | None" = None

    def inside(self, key: str, *, many: bool) -> "Place":
        """Return where a table inside this one stands."""
        path = f"{self.path}.{key}" if self.path else key
        return Place(path, many, of=self if self.many else self.of)

    def __str__(self) -> str:
        brackets = f"[[{self.path}]]" if self.many else f"[{self.path}]"
        number = f" number {self.number}" if self.number else ""
        return f"{brackets}{number}" if self.of is None else f"{brackets}{number} of {self.of}"


def load(path: Path, overrides: Document | None = None) -> Config:
    """Return the configuration in a TOML file; relative paths in it start from where it lies.

    `overrides` is as for `parse`. Raises `ConfigurationError` with a line for each thing that is
    wrong.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 (byte {error.start}).") from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path} is not TOML: {error}.") from None
    except RecursionError:
        raise ConfigurationError(f"{path} is not TOML: it is nested too deeply.") from None
    return parse(document, overrides, folder=path.absolute().parent)


def parse(
    document: Document, overrides: Document | None = None, *, folder: Path | None = None
) -> Config:
    """Return the configuration in a document of tables.

    `overrides` holds tables whose options stand in for those of the document. Relative paths of the
    document start from `folder`, those of `overrides` from the working directory. Raises
    `ConfigurationError` with a line for each thing that is wrong.
    """
    problems: list[str] = []
    options = _read(Config, document, Place(), folder, problems)
    _merge(options, _read(Config, overrides or {}, Place(), None, problems))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return msgspec.convert(options, Config)


def _read(
    table: type[Table], given: Document, place: Place, folder: Path | None, problems: list[str]
) -> dict[str, Any]:
    """Return the options of a table, each checked by itself; what is wrong goes to `problems`."""
    options: dict[str, Any] = {}
    fields = {field.encode_name: field for field in msgspec.structs.fields(table)}
    for key, value in given.items():
        if key not in fields:
            problems.append(_unknown(key, place, fields))
            continue
        kind = fields[key].type
        inner = inner_table(kind)
        if inner is not None:
            below = place.inside(key, many=inner.many)
            options[key] = _inner(inner, value, below, folder, problems)
        else:
            try:
                options[key] = _option(kind, value, folder)
            except ValueError as error:
                problems.append(f"{place} {key} {error}")
    problems.extend(
        f"{place} needs {key!r}: {expected(field.type)}."
        for key, field in fields.items()
        if field.required and key not in given
    )
    return options


def _inner(
    inner: Inner, given: Any, place: Place, folder: Path | None, problems: list[str]
) -> dict[str, Any] | list[dict[str, Any]]:
    """Return the options of a table inside a table, or of each in a list of them."""
    if not inner.many:
        if isinstance(given, dict):
            return _read(inner.table, given, place, folder, problems)
        problems.append(f"{place} is a table: give its options as key = value below it.")
        return {}
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        problems.append(f"{place} is a list of tables: put that above the options of each.")
        return []
    return [
        _read(inner.table, item, msgspec.structs.replace(place, number=number), folder, problems)
        for number, item in enumerate(given, 1)
    ]


def _option(kind: Any, value: Any, folder: Path | None) -> Any:
    """Return the value of an option; raise ValueError with a sentence that its name begins."""
    found = marks(kind)
    if HIDDEN in found:
        for item in value if isinstance(value, list) else [value]:
            if not is_reference(item):
                raise ValueError(
                    "must be env:NAME or file:PATH, never the secret itself: put it into an "
                    "environment variable or a file, and name that."
                )
    if holds_nan(value):
        raise ValueError(f"must be {expected(kind)}, not nan.")
    try:
        value = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        # What stands for the URL of a store may be one with a password.
        instead = "" if STORE in found else f", not {_shown(value)}"
        raise ValueError(f"must be {expected(kind)}{instead}.") from None
    if folder is None:
        return value
    if HIDDEN in found:
        return (
            [anchored(item, folder) for item in value]
            if isinstance(value, list)
            else anchored(value, folder)
        )
    if STORE in found:
        return anchored_store(value, folder)
    return str(folder / value) if FILE in found else value


def _merge(options: dict[str, Any], overrides: Document) -> None:
    for key, value in overrides.items():
        if isinstance(value, dict):
            _merge(options.setdefault(key, {}), value)
        else:
            options[key] = value


def _unknown(key: str, place: Place, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}."
    return f"{place} has no {key!r}{hint}" if place.path else f"There is no table [{key}]{hint}"


def _shown(value: Any) -> str:
    """Return a value as TOML would nearly have it, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
