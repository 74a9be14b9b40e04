"""The generator of values, against a validator of the same small part of JSON Schema."""

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.demo.error import SchemaError
from veneer.demo.schema import generate


def valid(value: Any, schema: Any, root: Any) -> bool:
    """Whether the schema allows the value."""
    if isinstance(schema, bool):
        return schema
    if "$ref" in schema and not valid(value, root["$defs"][schema["$ref"].split("/")[-1]], root):
        return False
    return bool(
        ("type" not in schema or typed(value, schema["type"]))
        and ("const" not in schema or value == schema["const"])
        and ("enum" not in schema or value in schema["enum"])
        and all(valid(value, part, root) for part in schema.get("allOf", []))
        and any(valid(value, part, root) for part in schema.get("anyOf", [True]))
        and fits(value, schema, root)
    )


def typed(value: Any, names: Any) -> bool:
    kinds = {
        "null": type(None),
        "boolean": bool,
        "integer": int,
        "number": int | float,
        "string": str,
        "array": list,
        "object": dict,
    }
    names = names if isinstance(names, list) else [names]
    return any(
        isinstance(value, kinds[name]) and not (isinstance(value, bool) and name != "boolean")
        for name in names
    )


def fits(value: Any, schema: Any, root: Any) -> bool:
    if isinstance(value, str):
        return bool(schema.get("minLength", 0) <= len(value) <= schema.get("maxLength", len(value)))
    if isinstance(value, list):
        prefix = schema.get("prefixItems", [])
        rest = schema.get("items", True)
        schemas = [*prefix, *[rest] * len(value)]
        return schema.get("minItems", 0) <= len(value) <= schema.get(
            "maxItems", len(value)
        ) and all(valid(item, part, root) for item, part in zip(value, schemas, strict=False))
    if isinstance(value, dict):
        properties = schema.get("properties", {})
        return set(schema.get("required", [])) <= set(value) and all(
            valid(item, properties.get(key, True), root) for key, item in value.items()
        )
    if isinstance(value, int | float) and not isinstance(value, bool):
        return bool(
            schema.get("minimum", value) <= value <= schema.get("maximum", value)
            and value > schema.get("exclusiveMinimum", value - 1)
            and value < schema.get("exclusiveMaximum", value + 1)
            and value % schema.get("multipleOf", value or 1) == 0
        )
    return True


@st.composite
def sizes(draw: st.DrawFn, lowest: str, highest: str, most: int) -> dict[str, int]:
    low, high = sorted((draw(st.integers(0, most)), draw(st.integers(0, most))))
    given = {lowest: low, highest: high}
    return {key: given[key] for key in draw(st.sets(st.sampled_from([lowest, highest])))}


@st.composite
def objects(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    properties = draw(st.dictionaries(st.sampled_from("abcdef"), parts, max_size=4))
    required = draw(st.sets(st.sampled_from(sorted(properties)))) if properties else set()
    return {"type": "object", "properties": properties, "required": sorted(required)}


@st.composite
def arrays(draw: st.DrawFn, parts: st.SearchStrategy[Any]) -> dict[str, Any]:
    schema = {"type": "array", **draw(sizes("minItems", "maxItems", 4)), "items": draw(parts)}
    if draw(st.booleans()):
        schema["prefixItems"] = draw(st.lists(parts, max_size=3))
    return schema


@st.composite
def integers(draw: st.DrawFn) -> dict[str, Any]:
    low = draw(st.integers(-50, 50))
    high = low + draw(st.integers(2, 60))
    schema = {"type": "integer"}
    schema |= draw(st.sampled_from([{}, {"minimum": low}, {"exclusiveMinimum": low}]))
    schema |= draw(st.sampled_from([{}, {"maximum": high}, {"exclusiveMaximum": high}]))
    return schema


def extended(parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(
        objects(parts),
        arrays(parts),
        st.lists(parts, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
        parts.map(lambda part: {"allOf": [part]}),
    )


leaves = st.one_of(
    integers(),
    sizes("minLength", "maxLength", 20).map(lambda size: {"type": "string", **size}),
    st.sampled_from(["null", "boolean", "number"]).map(lambda name: {"type": name}),
    st.just({"type": ["string", "null"]}),
    st.just({"$ref": "#/$defs/Node"}),
    st.just({}),
    st.lists(st.integers() | st.text(max_size=3), min_size=1).map(
        lambda options: {"enum": options}
    ),
    st.text(max_size=3).map(lambda value: {"const": value}),
)
NODE = {
    "type": "object",
    "properties": {
        "value": {"type": "string"},
        "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
        "children": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
    },
    "required": ["value", "next", "children"],
}


@settings(max_examples=150, deadline=None)
@given(st.recursive(leaves, extended, max_leaves=8))
def test_a_value_is_one_that_its_schema_allows(schema: dict[str, Any]) -> None:
    whole = {**schema, "$defs": {"Node": NODE}}
    value = generate(whole)
    assert valid(value, whole, whole)
    assert msgspec.json.decode(msgspec.json.encode(value)) == value


def test_optional_properties_are_given_and_arrays_hold_an_item() -> None:
    schema = {"properties": {"a": {"type": "boolean"}, "b": {"items": {"type": "integer"}}}}
    assert generate(schema) == {"a": True, "b": [1]}


def test_strings_speak_of_their_property() -> None:
    schema = {"properties": {"city": {"type": "string"}, "day": {"format": "date"}}}
    assert generate(schema) == {"city": "demo city", "day": "2026-01-01"}


def test_a_reference_may_lead_through_arrays_and_escaped_names() -> None:
    schema = {
        "anyOf": [{"type": "integer"}],
        "$defs": {"a/b~": {"const": 3}, "list": {"anyOf": [{"const": 4}]}},
        "allOf": [{"properties": {"x": {"$ref": "#/$defs/a~1b~0"}}, "type": "object"}],
    }
    del schema["anyOf"]
    assert generate(schema) == {"x": 3}
    assert generate({**schema, "$ref": "#/$defs/list/anyOf/0"}) == 4


def test_all_of_unites_what_its_parts_ask() -> None:
    first = {"properties": {"a": {"const": 1}}, "required": ["a"]}
    second = {"properties": {"b": {"const": 2}}, "required": ["b"]}
    assert generate({"type": "object", "allOf": [first, second, True]}) == {"a": 1, "b": 2}


def test_an_option_without_a_value_gives_way_to_the_next() -> None:
    assert generate({"anyOf": [False, {"enum": []}, {"const": 5}]}) == 5


def test_an_optional_property_without_a_value_is_left_out() -> None:
    schema = {"properties": {"a": False, "b": True}, "required": ["b", "c"]}
    assert generate(schema) == {"b": "b", "c": "c"}


def test_a_deep_value_takes_the_smallest_option() -> None:
    schema: dict[str, Any] = {"anyOf": [{"type": "object"}, {"type": "string"}, {"const": 9}]}
    value: Any = 9
    for name in "dcba":
        schema = {"type": "object", "properties": {name: schema}, "required": [name]}
        value = {name: value}
    assert generate(schema) == value


def test_a_wide_recursion_stays_small() -> None:
    branch = {"anyOf": [{"$ref": "#"}, {"type": "null"}]}
    names = [f"p{place}" for place in range(20)]
    schema = {"type": "object", "properties": dict.fromkeys(names, branch), "required": names}
    assert len(msgspec.json.encode(generate(schema))) < 100_000


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"enum": []},
        {"enum": 3},
        {"type": "date"},
        {"type": []},
        {"anyOf": [False]},
        {"anyOf": []},
        {"allOf": [False]},
        {"allOf": 3},
        {"$ref": "#"},
        {"$ref": "#/$defs/none"},
        {"$ref": "#/enum/7", "enum": [1]},
        {"$ref": "other.json#/a"},
        {"$ref": 3},
        {"type": "object", "properties": [], "required": ["a"]},
        {"properties": {"a": 3}, "required": ["a"]},
        {"type": "object", "required": "a"},
        {"required": "a", "allOf": [{"required": ["a"]}]},
        {"prefixItems": 3},
        {"anyOf": [{"$ref": "#/$defs/a"}], "type": "object", "$defs": {"a": 3}},
        {"properties": 3, "allOf": [{"properties": {}}]},
        {"type": "array", "minItems": 3, "maxItems": 1},
        {"type": "array", "minItems": -1},
        {"type": "array", "minItems": 1_000_000},
        {"type": "array", "items": False, "prefixItems": [True], "minItems": 2},
        {"type": "array", "minItems": 5_000, "items": {"type": "object"}},
        {"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]},
    ],
)
def test_a_schema_without_a_small_value_is_refused(schema: Any) -> None:
    with pytest.raises(SchemaError):
        generate(schema)
