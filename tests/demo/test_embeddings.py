"""POST /v1/embeddings."""

import base64
import math
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from veneer.demo.embeddings import DIMENSIONS, embed

from .drive import Answered, post

MODEL = "veneer-demo-embed"


async def ask(given: object = "hi", /, **members: Any) -> Answered:
    return await post("/v1/embeddings", {"model": MODEL, "input": given, **members})


def cosine(first: list[float], second: list[float]) -> float:
    return sum(one * other for one, other in zip(first, second, strict=True))


@settings(deadline=None)
@given(text=st.text(max_size=30), dimensions=st.integers(1, 64))
def test_a_vector_is_of_length_one(text: str, dimensions: int) -> None:
    vector = embed(text, dimensions)
    assert len(vector) == dimensions
    assert math.isclose(cosine(vector, vector), 1.0, abs_tol=1e-9)


def test_a_text_whose_parts_take_each_other_back_has_a_vector_too() -> None:
    assert embed("hi", 1) == [1.0]


def test_similar_texts_are_closer_than_others() -> None:
    cat = embed("The cat sat on the mat.", DIMENSIONS)
    assert cosine(cat, embed("the  CAT sat on the mat", DIMENSIONS)) > 0.9
    assert cosine(cat, embed("A cat sat on a mat", DIMENSIONS)) > 0.5
    assert cosine(cat, embed("quarterly finance report", DIMENSIONS)) < 0.2


async def test_an_input_has_one_vector_and_its_cost() -> None:
    answered = (await ask("hello you")).json
    assert answered["object"] == "list"
    assert answered["model"] == MODEL
    [item] = answered["data"]
    assert (item["object"], item["index"], len(item["embedding"])) == ("embedding", 0, DIMENSIONS)
    assert answered["usage"] == {"prompt_tokens": 3, "total_tokens": 3}


async def test_several_inputs_keep_their_order() -> None:
    both = (await ask(["a cat", "a dog"])).json["data"]
    assert [item["index"] for item in both] == [0, 1]
    assert both[1]["embedding"] == (await ask("a dog")).json["data"][0]["embedding"]


async def test_tokens_are_embedded_too() -> None:
    answered = (await ask([[1, 2], [3]])).json
    assert len(answered["data"]) == 2
    assert answered["usage"]["prompt_tokens"] == 3


async def test_base64_holds_the_same_numbers_as_little_endian_floats() -> None:
    [plain] = (await ask("hi", dimensions=16, encoding_format="float")).json["data"]
    [packed] = (await ask("hi", dimensions=16, encoding_format="base64")).json["data"]
    assert list(struct.unpack("<16f", base64.b64decode(packed["embedding"]))) == plain["embedding"]


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": {"a": 1}}, "input"),
        ({"input": [True]}, "input[0]"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": 3073}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"input": "word" * 8_193}, "input"),
        ({"input": ["word" * 8_000] * 40}, "input"),
        ({"input": ["word"] * 1_000, "dimensions": 3_000}, "input"),
    ],
)
async def test_a_bad_member_is_refused_by_its_name(members: dict[str, Any], param: str) -> None:
    answered = await post("/v1/embeddings", {"model": MODEL, "input": "hi", **members})
    assert (answered.status, answered.error["param"]) == (400, param)


async def test_a_chat_model_does_not_embed() -> None:
    assert (await ask(model="veneer-demo-1")).status == 404
