"""Tables inside tables, as the types of their fields say them."""

from typing import Any, get_args, get_origin

import msgspec

from veneer.config.table import Table


class Inner(msgspec.Struct, frozen=True):
    """A table that stands in another: once, or as often as it is given."""

    table: type[Table]
    many: bool


def inner_table(kind: Any) -> Inner | None:
    """Return what table a field of this type holds; None for an option."""
    if _is_table(kind):
        return Inner(kind, many=False)
    if get_origin(kind) is list and _is_table(get_args(kind)[0]):
        return Inner(get_args(kind)[0], many=True)
    return None


def _is_table(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Table)
