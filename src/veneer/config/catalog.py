"""Models as they are configured: from `[catalog]` to their layer."""

from collections.abc import Sequence
from typing import Any

import msgspec

from veneer.catalog.catalog import Catalog, stands_for_many
from veneer.catalog.model import Model, Provider
from veneer.config.blame import blame
from veneer.config.catalog_tables import CatalogTable, ModelTable
from veneer.config.router_tables import TargetTable, models_of
from veneer.routing.target import own_name
from veneer.wiring import ConfigurationError


def build_catalog(
    table: CatalogTable, *, has_keys: bool, targets: Sequence[TargetTable] = ()
) -> dict[str, Any] | None:
    """Return the options of the layer; None where there is nothing that it would do.

    `has_keys` is whether callers are asked for keys, which may be held to models; `targets` are
    those of a router, who have the models. Raises `ConfigurationError` that names the table where a
    value cannot be used.
    """
    if not (table.models or table.discover or table.default or has_keys):
        return None
    with blame("[[catalog.models]]"):
        models = [_model(model, targets) for model in table.models]
        catalog = Catalog(models)
    if targets:
        _check_providers(models)
        if models and not table.discover:
            _check_names(catalog, targets)
    return {
        "models": models,
        "default": table.default,
        "discover": table.discover,
        "refresh": table.refresh,
        "show": table.show,
        "unsupported": table.unsupported,
        "max_form": table.max_form,
    }


def names_in(table: CatalogTable) -> list[str]:
    """Return the names that models are given, without those that stand for many."""
    named = (name for model in table.models for name in (model.id, *model.aliases))
    return [name for name in named if not stands_for_many(name)]


def _check_providers(models: Sequence[Model]) -> None:
    """Refuse models that nobody has."""
    for model in models:
        if not (model.providers or stands_for_many(model.id)):
            raise ConfigurationError(
                f"[[catalog.models]] {model.id!r} is at none of [[targets]]: name it among the "
                "models of one, or leave it out."
            )


def _check_names(catalog: Catalog, targets: Sequence[TargetTable]) -> None:
    """Refuse models of targets that calls cannot name."""
    for target in targets:
        for name in models_of(target):
            if stands_for_many(name):
                continue
            model = catalog.find(name)
            if model is None:
                raise ConfigurationError(
                    f"[[targets]] {target.name!r} has the model {name!r}, which [[catalog.models]] "
                    "has not: add it there, or say discover = true in [catalog]."
                )
            if model.id != name:
                raise ConfigurationError(
                    f"[[targets]] {target.name!r} has the model {name!r}, which is an alias of "
                    f"{model.id!r} in [[catalog.models]]: name that."
                )


def _model(table: ModelTable, targets: Sequence[TargetTable]) -> Model:
    options = msgspec.structs.asdict(table)
    options["providers"] = tuple(
        Provider(target.name, target.data_policy)
        for target in targets
        if own_name(models_of(target), table.id) is not None
    )
    options["aliases"] = tuple(table.aliases)
    options["unsupported_parameters"] = tuple(table.unsupported_parameters)
    if table.dimensions is not None:
        options["dimensions"] = tuple(table.dimensions)
    if table.capabilities is not None:
        options["capabilities"] = frozenset(table.capabilities)
    return Model(**options)
