"""Operations as they are configured: from `[operations]` to what is served."""

from veneer.config.tables import OperationsTable
from veneer.dialects import Dialect
from veneer.operations import family


def denied(table: OperationsTable, dialect: Dialect) -> list[str]:
    """Return what is not served: what the table says, or else what the dialect has not."""
    if table.deny is not None:
        return table.deny
    lacking = [name for group in dialect.unserved for name in sorted(family(group))]
    return [name for name in lacking if name not in table.allow]
