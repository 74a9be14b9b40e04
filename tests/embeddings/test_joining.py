"""Answers of one embedding each, joined."""

import json

import pytest

from tests.layers.streams import compact
from veneer.embeddings.joining import embedded, joined, summed


def answer(vector: object, usage: object = None) -> bytes:
    row = {"object": "embedding", "index": 0, "embedding": vector}
    members = {"object": "list", "data": [row], "model": "m"}
    return compact(members if usage is None else {**members, "usage": usage})


def test_vectors_are_in_order_and_usage_is_the_sum() -> None:
    answers = [answer([place], {"prompt_tokens": place, "total_tokens": 2}) for place in range(3)]
    parts = [embedded(text, place) for place, text in enumerate(answers)]
    shown = json.loads(joined(answers[0], parts))
    assert [(row["index"], row["embedding"]) for row in shown["data"]] == [
        (0, [0]),
        (1, [1]),
        (2, [2]),
    ]
    assert shown["usage"] == {"prompt_tokens": 3, "total_tokens": 6}
    assert shown["model"] == "m"


def test_without_the_usage_of_one_there_is_none() -> None:
    answers = [answer([1], {"prompt_tokens": 1}), answer([2])]
    parts = [embedded(text, place) for place, text in enumerate(answers)]
    assert "usage" not in json.loads(joined(answers[0], parts))


def test_an_answer_without_an_index_gets_one() -> None:
    assert json.loads(embedded(b'{"data":[{"embedding":[1]}]}', 7).item)["index"] == 7


@pytest.mark.parametrize(
    "text",
    [b"{}", b"", b"[]", b'{"data":[]}', b'{"data":[{},{}]}', b'{"data":[1]}', b'{"data":[' * 5000],
)
def test_what_is_not_one_vector_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - some words are the decoder's own
        embedded(text, 0)


def test_usage_is_summed_number_by_number() -> None:
    total = summed(
        [
            {"prompt_tokens": 1, "cost": 0.5, "details": {"text": 1}, "tier": "a", "x": True},
            {"prompt_tokens": 2, "cost": 0.25, "details": {"text": 2, "image": 3}, "tier": None},
            {"details": None, "late": 1, "x": 1},
        ]
    )
    assert total == {
        "prompt_tokens": 3,
        "cost": 0.75,
        "details": {"text": 3, "image": 3},
        "tier": "a",
        "x": 1,
        "late": 1,
    }
