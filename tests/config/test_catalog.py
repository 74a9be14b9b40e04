"""Models, as configured."""

import inspect

import pytest

from tests.asgi import Responder
from veneer.catalog.model import Model
from veneer.config import parse
from veneer.config.build import build
from veneer.config.catalog import build_catalog
from veneer.config.catalog_tables import CatalogTable
from veneer.layers.models import ModelsMiddleware
from veneer.wiring import ConfigurationError


def test_the_defaults_are_those_of_the_layer() -> None:
    options = build_catalog(CatalogTable(), has_keys=True)
    assert options is not None
    layer = inspect.signature(ModelsMiddleware).parameters
    assert options.pop("models") == list(layer["models"].default)
    assert options == {name: layer[name].default for name in options}


def test_nothing_is_done_for_no_models_and_no_keys() -> None:
    assert build_catalog(CatalogTable(), has_keys=False) is None


def test_what_a_model_does_not_know_is_said_of_it() -> None:
    model = {"id": "m", "unsupported_parameters": ["seed", "logprobs"]}
    table = parse({"catalog": {"unsupported": "drop", "max_form": 5, "models": [model]}}).catalog
    options = build_catalog(table, has_keys=False)
    assert options is not None
    assert options["models"] == [Model(id="m", unsupported_parameters=("seed", "logprobs"))]
    assert (options["unsupported"], options["max_form"]) == ("drop", 5)
    build(parse({"catalog": {"models": [model]}}), Responder(b"{}"))


def test_what_no_call_can_be_made_without_is_refused_by_the_name_of_its_table() -> None:
    table = parse({"catalog": {"models": [{"id": "m", "unsupported_parameters": ["tools"]}]}})
    with pytest.raises(ConfigurationError, match=r"^\[\[catalog.models\]\] .* without 'tools'"):
        build_catalog(table.catalog, has_keys=False)
