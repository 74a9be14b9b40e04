"""Models as they are configured: from `[catalog]` to their layer."""

from typing import Any

import msgspec

from veneer.catalog.catalog import Catalog
from veneer.catalog.model import Model
from veneer.config.catalog_tables import CatalogTable, ModelTable
from veneer.wiring import ConfigurationError


def build_catalog(table: CatalogTable, *, has_keys: bool) -> dict[str, Any] | None:
    """Return the options of the layer; None where there is nothing that it would do.

    `has_keys` is whether callers are asked for keys, which may be held to models. Raises
    `ConfigurationError` that names the table where a value cannot be used.
    """
    if not (table.models or table.discover or table.default or has_keys):
        return None
    try:
        models = [_model(model) for model in table.models]
        Catalog(models)
    except ValueError as error:
        raise ConfigurationError(f"[[catalog.models]] {error}") from error
    return {
        "models": models,
        "default": table.default,
        "discover": table.discover,
        "refresh": table.refresh,
        "show": table.show,
        "unsupported": table.unsupported,
        "max_form": table.max_form,
    }


def _model(table: ModelTable) -> Model:
    options = msgspec.structs.asdict(table)
    options["aliases"] = tuple(table.aliases)
    options["unsupported_parameters"] = tuple(table.unsupported_parameters)
    if table.dimensions is not None:
        options["dimensions"] = tuple(table.dimensions)
    if table.capabilities is not None:
        options["capabilities"] = frozenset(table.capabilities)
    return Model(**options)
