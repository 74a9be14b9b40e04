"""Loading: from a TOML file to `Config`, with a sentence for everything that is wrong with it."""

import difflib
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec

from veneer.config.expected import expected, holds_nan, marks
from veneer.config.secret import anchored, is_reference
from veneer.config.tables import FILE, HIDDEN, Config, Table
from veneer.wiring import ConfigurationError

Document = Mapping[str, Any]

# What is longer is cut where it is shown.
MAX_SHOWN = 60


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
    options = _read(Config, document, "", folder, problems)
    _merge(options, _read(Config, overrides or {}, "", None, problems))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return msgspec.convert(options, Config)


def _read(
    table: type[Table], given: Document, name: str, folder: Path | None, problems: list[str]
) -> dict[str, Any]:
    """Return the options of a table, each checked by itself; what is wrong goes to `problems`."""
    options: dict[str, Any] = {}
    fields = {field.name: field for field in msgspec.structs.fields(table)}
    for key, value in given.items():
        if key not in fields:
            problems.append(_unknown(key, name, fields))
            continue
        kind = fields[key].type
        if isinstance(kind, type) and issubclass(kind, Table):
            inner = f"{name}.{key}" if name else key
            if isinstance(value, dict):
                options[key] = _read(kind, value, inner, folder, problems)
            else:
                problems.append(f"[{inner}] is a table: give its options as key = value below it.")
        else:
            try:
                options[key] = _option(kind, value, folder)
            except ValueError as error:
                problems.append(f"[{name}] {key} {error}")
    return options


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
        raise ValueError(f"must be {expected(kind)}, not {_shown(value)}.") from None
    if folder is None:
        return value
    if HIDDEN in found:
        return (
            [anchored(item, folder) for item in value]
            if isinstance(value, list)
            else anchored(value, folder)
        )
    return str(folder / value) if FILE in found else value


def _merge(options: dict[str, Any], overrides: Document) -> None:
    for key, value in overrides.items():
        if isinstance(value, dict):
            _merge(options.setdefault(key, {}), value)
        else:
            options[key] = value


def _unknown(key: str, table: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(key, list(known), n=1)
    hint = f"; did you mean {near[0]!r}?" if near else f"; it has {', '.join(known)}."
    return f"[{table}] has no {key!r}{hint}" if table else f"There is no table [{key}]{hint}"


def _shown(value: Any) -> str:
    """Return a value as TOML would nearly have it, cut short."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "a table"
    text = repr(value)
    return text if len(text) <= MAX_SHOWN else f"{text[: MAX_SHOWN - 3]}..."
