"""Operations as they are configured: from `[operations]` to what is served."""

from collections.abc import Iterable
from typing import Any

from veneer.config.tables import OperationsTable
from veneer.dialects import Dialect
from veneer.operations import FIXED, NAMES, family

# What a path may begin with, as it is read.
BASES = ("/", "/v1/")


def build_operations(table: OperationsTable, dialect: Dialect) -> dict[str, Any]:
    """Return the options of the layer."""
    return {
        "allow": allowed(table, dialect),
        "deny": denied(table, dialect),
        "max_body": table.max_body,
    }


def denied(table: OperationsTable, dialect: Dialect) -> list[str]:
    """Return what is not served: what the table says, or else what the dialect has not."""
    if table.deny is not None:
        return table.deny
    lacking = [name for group in dialect.unserved for name in sorted(family(group))]
    return [name for name in lacking if name not in table.allow]


def allowed(table: OperationsTable, dialect: Dialect) -> list[str]:
    """Return what is served beside the default: what the table says, and what the dialect has."""
    out = named(table.deny or ())
    return [*table.allow, *(name for name in dialect.served if name not in out)]


def public_paths(dialect: Dialect) -> list[str]:
    """Return the paths of what the dialect shows to those who have no key."""
    return [
        base + path
        for path, operation in FIXED.items()
        if operation.name in dialect.public
        for base in BASES
    ]


def named(deny: Iterable[str]) -> frozenset[str]:
    """Return the operations of these names; one that is none is judged elsewhere."""
    return frozenset(
        name for name in NAMES if any(name == out or name.startswith(f"{out}.") for out in deny)
    )
