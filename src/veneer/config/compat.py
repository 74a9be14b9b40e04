"""What a target does not know, as configured: from `[compat]` and `[embeddings]` to options."""

from typing import Any

import msgspec

from veneer.config.compat_tables import CompatTable, EmbeddingsTable
from veneer.embeddings.inputs import Caps


def build_compat(table: CompatTable) -> dict[str, Any]:
    """Return the options of the layer."""
    options = msgspec.structs.asdict(table)
    # What knows only functions takes those of clients as they are.
    options["legacy_functions"] = table.legacy_functions and not table.functions_only
    return options


def build_embeddings(table: EmbeddingsTable) -> dict[str, Any]:
    """Return the options of the layer."""
    options = msgspec.structs.asdict(table)
    caps = {name: options.pop(f"max_{name}") for name in Caps.__struct_fields__}
    return {**options, "caps": Caps(**caps)}
