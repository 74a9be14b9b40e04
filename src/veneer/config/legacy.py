"""Routes that have moved, as they are configured: from `[[dialect.legacy]]` to their layer."""

from veneer.config.dialect_tables import LegacyTable
from veneer.layers.legacy import Moved
from veneer.wiring import ConfigurationError


def build_legacy(tables: list[LegacyTable]) -> dict[str, Moved]:
    """Return where each route has moved; raises `ConfigurationError` for one that is there twice.

    What is no path is for the layer to find.
    """
    moved: dict[str, Moved] = {}
    for table in tables:
        if table.from_ in moved:
            raise ConfigurationError(
                f"[[dialect.legacy]] has two that are from {table.from_!r}: leave one out."
            )
        moved[table.from_] = Moved(table.to, table.sunset)
    return moved
