"""Numbers for the number keywords."""

import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.demo.error import SchemaError
from veneer.demo.number import number


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, 1),
        ({"minimum": 5}, 5),
        ({"minimum": 4.2}, 5),
        ({"maximum": -3}, -3),
        ({"exclusiveMinimum": 5}, 6),
        ({"exclusiveMaximum": 1}, 0),
        ({"exclusiveMinimum": 5, "exclusiveMaximum": 7}, 6),
        ({"multipleOf": 7}, 0),
        ({"multipleOf": 7, "minimum": 10}, 14),
        ({"multipleOf": 2.5, "minimum": 6}, 10),
        ({"minimum": -(2**53), "maximum": 1.7976931348623157e308}, 1),
    ],
)
def test_a_whole_number_is_found_near_the_bounds(schema: dict[str, Any], value: int) -> None:
    found = number(schema, whole=True)
    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"minimum": 0.25, "maximum": 0.75}, 0.25),
        ({"exclusiveMinimum": 0, "exclusiveMaximum": 0.5}, 0.25),
        ({"multipleOf": 0.1, "minimum": 0.25, "maximum": 0.35}, 0.3),
    ],
)
def test_a_fraction_serves_where_no_whole_number_does(schema: dict[str, Any], value: float) -> None:
    assert number(schema, whole=False) == value
    with pytest.raises(SchemaError):
        number(schema, whole=True)


@settings(deadline=None)
@given(st.floats(-1e6, 1e6), st.floats(1e-3, 1e6))
def test_a_number_is_between_its_bounds(low: float, width: float) -> None:
    high = low + width
    assert low < number({"exclusiveMinimum": low, "exclusiveMaximum": high}, whole=False) < high
    assert low <= number({"minimum": low, "maximum": high}, whole=False) <= high


@pytest.mark.parametrize(
    "schema",
    [
        {"minimum": 3, "maximum": 2},
        {"minimum": "3"},
        {"minimum": True},
        {"maximum": math.inf},
        {"minimum": 2**60},
        {"multipleOf": 5, "minimum": 1, "maximum": 4},
    ],
)
def test_bounds_without_a_number_are_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(SchemaError):
        number(schema, whole=False)
