"""The reference of all options, as Markdown, made from the tables."""

import inspect
from collections.abc import Iterator

import msgspec

from veneer.config.expected import description, expected
from veneer.config.inner import inner_table
from veneer.config.table import Table
from veneer.config.tables import Config


def reference() -> str:
    """Return a heading and a table of options for each table of the configuration."""
    return "\n".join(_lines(Config, ""))


def undocumented() -> list[str]:
    """Return the options that have no description."""
    return [
        f"[{name}] {field.encode_name}"
        for name, table in tables(Config)
        for field in _options(table)
        if not description(field.type)
    ]


def tables(table: type[Table], name: str = "") -> Iterator[tuple[str, type[Table]]]:
    """Yield a table and those inside it, by their names; one that may be repeated has brackets."""
    yield name, table
    above = name.strip("[]")
    for field in msgspec.structs.fields(table):
        inner = inner_table(field.type)
        if inner is not None:
            path = f"{above}.{field.name}" if above else field.name
            yield from tables(inner.table, f"[{path}]" if inner.many else path)


def _lines(config: type[Table], name: str) -> Iterator[str]:
    for path, table in tables(config, name):
        if path:
            yield f"### `[{path}]`\n\n{inspect.getdoc(table)}\n"
            yield "| option | takes | default | what it does |\n|---|---|---|---|"
            for field in _options(table):
                yield (
                    f"| `{field.encode_name}` | {expected(field.type)} | {_default(field)} "
                    f"| {description(field.type)} |"
                )
            yield ""


def _options(table: type[Table]) -> list[msgspec.structs.FieldInfo]:
    return [field for field in msgspec.structs.fields(table) if inner_table(field.type) is None]


def _default(field: msgspec.structs.FieldInfo) -> str:
    if field.required:
        return "needed"
    default = field.default if field.default is not msgspec.NODEFAULT else field.default_factory()
    if default is None:
        return ""
    return f"`{msgspec.json.encode(default).decode()}`"
