"""Strings for the string keywords."""

from typing import Any

import pytest

from veneer.demo.error import SchemaError
from veneer.demo.text import string


@pytest.mark.parametrize(
    ("schema", "text"),
    [
        ({}, "demo city"),
        ({"maxLength": 6}, "demo c"),
        ({"minLength": 12}, "demo city..."),
        ({"format": "uuid"}, "00000000-0000-4000-8000-000000000000"),
        ({"format": "colour"}, "demo city"),
        ({"format": 3}, "demo city"),
    ],
)
def test_a_string_speaks_of_its_name_at_a_fitting_length(schema: dict[str, Any], text: str) -> None:
    assert string(schema, "city") == text


@pytest.mark.parametrize(
    "schema",
    [
        {"minLength": 3, "maxLength": 2},
        {"minLength": 10_001},
        {"minLength": -1},
        {"maxLength": "3"},
    ],
)
def test_lengths_without_a_string_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        string(schema, "city")
