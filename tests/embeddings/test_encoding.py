"""Vectors in base64."""

import base64
import json
import struct
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.embeddings.encoding import first_vector, in_base64

FLOATS = st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=5)


def unpacked(text: str) -> list[float]:
    data = base64.b64decode(text)
    return list(struct.unpack(f"<{len(data) // 4}f", data))


@given(st.lists(FLOATS, max_size=4), st.sampled_from([None, 1]))
def test_every_vector_is_written_anew_and_nothing_else(vectors: Any, indent: Any) -> None:
    rows = [{"object": "embedding", "embedding": vector, "index": 1} for vector in vectors]
    text = json.dumps({"data": rows, "model": "[1]"}, indent=indent).encode()
    shown = json.loads(b"".join(in_base64(text)))
    found = [unpacked(row.pop("embedding")) for row in shown["data"]]
    assert found == vectors
    assert shown["model"] == "[1]"
    assert [row["object"] for row in shown["data"]] == ["embedding"] * len(vectors)


@pytest.mark.parametrize(
    "text",
    [
        b'{"embedding":"AACAPw=="}',
        b'{"embedding":["a"]}',
        b'{"embedding":[null]}',
        b'{"embedding":[[1]]}',
        b'{"embedding":[1',
        b'{"x":"\\"embedding\\":[1]"}',
        b"",
    ],
)
def test_what_is_no_vector_of_numbers_stays(text: bytes) -> None:
    assert b"".join(in_base64(text)) == text


def test_whole_numbers_are_numbers_and_too_large_ones_have_no_end() -> None:
    [piece, _] = in_base64(b'{"embedding": [1, 1e300]}')
    assert unpacked(json.loads(piece + b"}")["embedding"]) == [1.0, float("inf")]


@pytest.mark.parametrize(
    ("text", "begins"),
    [
        (b'{"object":"embedding","embedding" :\n [0.1', b"["),
        (b'{"embedding":"AA', b'"'),
        (b'{"object":"embedding"', None),
        (b'{"embedding":', None),
    ],
)
def test_the_first_vector_tells_how_all_are_written(text: bytes, begins: bytes | None) -> None:
    assert first_vector(text) == begins
