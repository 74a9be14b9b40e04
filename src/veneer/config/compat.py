"""What a target does not know, as configured: from `[compat]` and `[embeddings]` to options."""

from collections.abc import Mapping
from typing import Any

import msgspec

from veneer.config.compat_tables import CompatTable, EmbeddingsTable
from veneer.config.prices_tables import PricesTable
from veneer.embeddings.inputs import Caps


def build_compat(table: CompatTable) -> dict[str, Any]:
    """Return the options of the layer."""
    options = msgspec.structs.asdict(table)
    # What knows only functions takes those of clients as they are.
    options["legacy_functions"] = table.legacy_functions and not table.functions_only
    return options


def build_estimate(
    table: EmbeddingsTable, prices: PricesTable, cost: Mapping[str, Any] | None
) -> dict[str, Any]:
    """Return the options of the layer that tells what embeddings cost before they are made.

    `cost` are those of the layer that charges calls, None where nothing has a price.
    """
    options = build_embeddings(table)
    shared = ("batches", "allow_singleton_list", "max_items", "caps")
    priced = {} if cost is None else {name: cost[name] for name in ("prices", "credits")}
    return {**{name: options[name] for name in shared}, **priced, "unpriced": prices.unpriced}


def build_embeddings(table: EmbeddingsTable) -> dict[str, Any]:
    """Return the options of the layer."""
    options = msgspec.structs.asdict(table)
    caps = {name: options.pop(f"max_{name}") for name in Caps.__struct_fields__}
    return {**options, "caps": Caps(**caps)}
