"""Names that may stand in a body: what is said to stand nowhere does not, however it is written."""

import json
from collections.abc import Callable
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from veneer.members import may_have, may_repeat


class _Object(list[tuple[str, Any]]):
    """The members of an object in the order of its text, each as often as it stands there."""


def _written(value: Any, escape: Callable[[], bool]) -> str:
    """Return JSON text in which each letter of a name or a text may be an escape."""
    if isinstance(value, _Object):
        members = (f"{_written(name, escape)}: {_written(of, escape)}" for name, of in value)
        return "{" + ", ".join(members) + "}"
    if isinstance(value, list):
        return "[" + ",".join(_written(one, escape) for one in value) + "]"
    if isinstance(value, str):
        # Upper-case digits, and characters beyond ASCII as they are, are JSON as well.
        letters = (
            f"\\u{ord(one):04X}" if escape() else json.dumps(one, ensure_ascii=False)[1:-1]
            for one in value
        )
        return '"' + "".join(letters) + '"'
    return json.dumps(value)


def _names_in(value: Any) -> list[list[str]]:
    """Return the names of the members of each object, at any depth."""
    if isinstance(value, _Object):
        inner = [found for _, of in value for found in _names_in(of)]
        return [[name for name, _ in value], *inner]
    if isinstance(value, list):
        return [found for one in value for found in _names_in(one)]
    return []


SOUGHT = ("tools", "moderation")
QUOTED = tuple(b'"%b"' % name.encode() for name in SOUGHT)
TEXTS = st.sampled_from([*SOUGHT, 'a"tools', "too", "\\u", "\\", "\n", '"', "ö", ""])
DOCUMENTS = st.recursive(
    st.none() | st.integers() | TEXTS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(st.tuples(TEXTS, inner), max_size=3).map(_Object)
    ),
    max_leaves=6,
)


@given(DOCUMENTS, st.sampled_from([0.0, 0.1, 1.0]), st.randoms())
def test_a_name_that_stands_anywhere_however_written_may_be_there(
    document: Any, escapes: float, chance: Random
) -> None:
    body = _written(document, lambda: chance.random() < escapes).encode()
    json.loads(body)
    for name, quoted in zip(SOUGHT, QUOTED, strict=True):
        objects = _names_in(document)
        if any(name in names for names in objects):
            assert may_have(body, (quoted,))
            assert may_have(body, QUOTED)
        if any(names.count(name) > 1 for names in objects):
            assert may_repeat(body, (quoted,))
            assert may_repeat(body, QUOTED)


def test_an_escape_hides_neither_of_two() -> None:
    for body in (b'{"\\u0074ools":1,"tools":2}', b'{"tools":1,"tool\\u0073":2}'):
        assert may_repeat(body, QUOTED)


def test_what_stands_nowhere_is_not_looked_for_any_further() -> None:
    for body in (b"", b"{}", b'{"tool":"moderations"}', b'{"a":"\\"tools\\", \\\\ \\n"}'):
        assert not may_have(body, QUOTED)
        assert not may_repeat(body, QUOTED)
    assert not may_have(b'{"tools":1}', ())
    assert not may_repeat(b'{"tools":1,"moderation":2}', QUOTED)
