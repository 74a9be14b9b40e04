"""What a call of embeddings asks of the app below."""

from typing import Any

import pytest

from tests.layers.streams import compact
from veneer.catalog.model import Model
from veneer.embeddings.planning import BATCH, EMPTY, Plan, Planning
from veneer.errors import Error

ALONE = Model(id="alone", capabilities=frozenset())


def plan(given: Any, model: Model | None = ALONE, **options: Any) -> Plan | Error:
    return Planning(**options).plan(model, compact({"model": "m", "input": given, "user": "u"}))


@pytest.mark.parametrize("given", ["a", [{"type": "text", "text": "a"}]])
def test_one_input_is_one_call(given: Any) -> None:
    found = plan(given)
    assert isinstance(found, Plan)
    assert found.given == compact(given)
    assert not found.items


def test_a_batch_is_refused_taken_apart_or_passed() -> None:
    assert plan(["a", "b"]) is BATCH
    assert plan([]) is EMPTY
    apart = plan(["a", "b"], batches="fan-out")
    assert isinstance(apart, Plan)
    parts = [apart.part(place) for place in range(len(apart.items))]
    assert parts == [compact({"model": "m", "input": one, "user": "u"}) for one in ("a", "b")]
    for whole in (plan(["a", "b"], batches="pass"), plan(["a", "b"], None)):
        assert isinstance(whole, Plan)
        assert not whole.items


def test_a_list_of_one_is_that_one_by_option() -> None:
    found = plan(["a"], allow_singleton_list=True)
    assert isinstance(found, Plan)
    assert found.body == compact({"model": "m", "input": "a", "user": "u"})
    assert plan(["a", "b"], allow_singleton_list=True) is BATCH


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"batches": "maybe"}, "batches is 'maybe'"),
        ({"encoding": "us"}, "encoding is 'us'"),
        ({"max_items": 0}, "max_items is a number"),
    ],
)
def test_options_that_cannot_be_are_refused(options: Any, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Planning(**options)
