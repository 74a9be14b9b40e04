"""A deterministic value for a JSON Schema (draft 2020-12).

Heeded: boolean schemas, type, enum, const, properties, required, items, prefixItems, minItems,
maxItems, minLength, maxLength, format of strings, the number keywords, anyOf, oneOf, allOf and
local $ref. Every other keyword (pattern, not, if, uniqueItems, ...) is ignored.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from .error import SchemaError
from .number import number
from .text import length, string

Schema = Mapping[str, Any] | bool

_GENEROUS_DEPTH: Final = 4
_GENEROUS_NODES: Final = 200
_MAX_DEPTH: Final = 64
_MAX_NODES: Final = 5_000
_SCALARS: Final = ("null", "boolean", "integer", "number", "string")


def generate(schema: Schema, name: str = "value") -> Any:
    """Return a value that the schema allows; strings speak of `name` or of their property's name.

    Optional properties are given and arrays hold an item until the value grows deep or large;
    from there on it stays as small as the schema allows. Raises SchemaError if the schema is
    malformed, allows nothing that is found, or has no small enough value.
    """
    return _Generator(schema).value(schema, name, 0)


class _Generator:
    """One generation: the schema that references start from, and the nodes made so far."""

    def __init__(self, root: Schema) -> None:
        self._root = root
        self._nodes = 0

    def value(self, schema: object, name: str, depth: int) -> Any:
        self._nodes += 1
        if depth > _MAX_DEPTH or self._nodes > _MAX_NODES:
            raise SchemaError("it has no small value")
        if schema is True:
            return name
        if not isinstance(schema, Mapping):
            raise SchemaError("it holds something else than schemas, or one that allows nothing")
        for keyword in ("$ref", "allOf", "anyOf", "oneOf"):
            if keyword in schema:
                return self._combined(keyword, schema, name, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            options = _sequence(schema, "enum")
            if not options:
                raise SchemaError("an enum is empty")
            return options[0]
        return self._typed(_kind(schema), schema, name, depth)

    def _combined(self, keyword: str, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        rest = {key: member for key, member in schema.items() if key != keyword}
        if keyword == "$ref":
            return self.value(_merge(rest, self._target(schema["$ref"])), name, depth + 1)
        options = _sequence(schema, keyword)
        if keyword == "allOf":
            for option in options:
                rest = _merge(rest, option)
            return self.value(rest, name, depth + 1)
        if self._frugal(depth):
            options = sorted(options, key=_bulk)
        for option in options:
            try:
                return self.value(_merge(rest, option), name, depth + 1)
            except SchemaError:
                continue
        raise SchemaError(f"no option of an {keyword} has a value")

    def _typed(self, kind: object, schema: Mapping[str, Any], name: str, depth: int) -> Any:
        match kind:
            case "null":
                return None
            case "boolean":
                return True
            case "integer" | "number":
                return number(schema, whole=kind == "integer")
            case "string":
                return string(schema, name)
            case "array":
                return self._array(schema, name, depth)
            case "object":
                return self._object(schema, depth)
            case _:
                raise SchemaError("a type is not one of JSON's seven")

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        fixed = _sequence(schema, "prefixItems") if "prefixItems" in schema else ()
        fewest = length(schema, "minItems", 0)
        wanted = fewest if self._frugal(depth) else max(fewest, len(fixed), 1)
        size = min(wanted, length(schema, "maxItems", wanted))
        if size < fewest or size > _MAX_NODES:
            raise SchemaError("an array has no fitting length")
        others = schema.get("items", True)
        if others is False:
            size = max(fewest, min(size, len(fixed)))
        schemas = [*fixed[:size], *[others] * (size - len(fixed))]
        return [
            self.value(item, f"{name} {place}", depth + 1) for place, item in enumerate(schemas, 1)
        ]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        if not isinstance(properties, Mapping):
            raise SchemaError("properties is not an object")
        required = _sequence(schema, "required") if "required" in schema else ()
        names = dict.fromkeys(() if self._frugal(depth) else properties)
        names.update(dict.fromkeys(key for key in required if isinstance(key, str)))
        made = {}
        for key in names:
            try:
                made[key] = self.value(properties.get(key, True), key, depth + 1)
            except SchemaError:
                if key in required:
                    raise
        return made

    def _frugal(self, depth: int) -> bool:
        return depth >= _GENEROUS_DEPTH or self._nodes > _GENEROUS_NODES

    def _target(self, reference: object) -> object:
        """Return what a local JSON Pointer (RFC 6901) in a fragment leads to."""
        if not isinstance(reference, str) or reference.partition("/")[0] != "#":
            raise SchemaError("a $ref does not point into the schema itself")
        node: object = self._root
        for token in reference.split("/")[1:]:
            key = token.replace("~1", "/").replace("~0", "~")
            node = _member(node, key)
        return node


def _member(node: object, key: str) -> object:
    if isinstance(node, Mapping) and key in node:
        return node[key]
    if isinstance(node, list) and key.isdecimal() and int(key) < len(node):
        return node[int(key)]
    raise SchemaError("a $ref leads nowhere")


def _merge(base: Mapping[str, Any], extra: object) -> Any:
    """Return one schema for what two ask, members of `extra` prevailing."""
    if extra is True or not base:
        return base if extra is True else extra
    if not isinstance(extra, Mapping):
        raise SchemaError("an option is not a schema, or allows nothing")
    merged = {**base, **extra}
    for key, join in (("properties", _join_objects), ("required", _join_arrays)):
        if key in base and key in extra:
            merged[key] = join(base[key], extra[key])
    return merged


def _join_objects(first: object, second: object) -> dict[str, Any]:
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        raise SchemaError("properties is not an object")
    return {**first, **second}


def _join_arrays(first: object, second: object) -> list[Any]:
    if not isinstance(first, list) or not isinstance(second, list):
        raise SchemaError("required is not an array")
    return [*first, *second]


def _kind(schema: Mapping[str, Any]) -> object:
    kind = schema.get("type")
    if isinstance(kind, list):
        return kind[0] if kind else None
    if kind is None:
        if "properties" in schema:
            return "object"
        return "array" if "items" in schema or "prefixItems" in schema else "string"
    return kind


def _bulk(schema: object) -> int:
    """Order options by the size that their values are likely to have."""
    if not isinstance(schema, Mapping) or "$ref" in schema:
        return len(_SCALARS) + 1
    if "const" in schema or "enum" in schema:
        return 0
    kind = _kind(schema)
    return _SCALARS.index(kind) if kind in _SCALARS else len(_SCALARS)


def _sequence(schema: Mapping[str, Any], keyword: str) -> Sequence[Any]:
    found = schema[keyword]
    if not isinstance(found, list):
        raise SchemaError(f"{keyword} is not an array")
    return found
