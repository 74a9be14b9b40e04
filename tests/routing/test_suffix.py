"""Suffixes of models' names, and what they say together with the member `gateway`."""

from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.routing.preferences import Optimize, Weights
from veneer.routing.reading import Gateway
from veneer.routing.suffix import SUFFIXES, without_suffix, without_suffixes


@pytest.mark.parametrize("optimize", get_args(Optimize))
def test_every_strategy_is_a_suffix(optimize: str) -> None:
    assert without_suffix(f"gpt-4o:{optimize}") == ("gpt-4o", optimize)


@pytest.mark.parametrize(("old", "new"), [("floor", "cost"), ("nitro", "tps"), ("fast", "ttft")])
def test_older_words_are_understood(old: str, new: str) -> None:
    assert without_suffix(f"gpt-4o:{old}") == ("gpt-4o", new)


@pytest.mark.parametrize(
    "name",
    [
        "llama3:8b",
        "gpt-4o",
        "gpt-4o:COST",
        "gpt-4o:cost:",
        "ft:gpt-4o:org::id:cost",
        "ft:gpt-4o:cost",
        ":cost",
        "cost",
        "",
        ":",
    ],
)
def test_other_names_stay_as_they_are(name: str) -> None:
    assert without_suffix(name) == (name, None)


@given(st.text(), st.sampled_from(sorted(SUFFIXES)))
def test_what_is_left_and_what_was_taken_are_the_whole_name(name: str, suffix: str) -> None:
    base, optimize = without_suffix(f"{name}:{suffix}")
    if optimize is None:
        assert not name or name.startswith("ft:")
        assert base == f"{name}:{suffix}"
    else:
        assert (base, optimize) == (name, SUFFIXES[suffix])


def test_a_name_that_is_known_to_be_whole_has_none() -> None:
    assert without_suffix("llama:fast", {"llama:fast"}) == ("llama:fast", None)
    assert without_suffix("llama:fast:cost", {"llama:fast"}) == ("llama:fast", "cost")
    assert without_suffix("llama:cost", {"llama:fast"}) == ("llama", "cost")


def test_only_the_last_suffix_is_one() -> None:
    assert without_suffix("llama3:8b:tps") == ("llama3:8b", "tps")
    assert without_suffix("a:cost:tps") == ("a:cost", "tps")


def test_a_suffix_says_what_optimize_would() -> None:
    assert without_suffixes("a:cost", Gateway()) == ("a", Gateway(said={"optimize": "cost"}))
    assert without_suffixes("a", Gateway()) == ("a", Gateway())
    assert without_suffixes(None, Gateway()) == (None, Gateway())


def test_it_may_say_the_same_twice() -> None:
    gateway = Gateway(said={"optimize": "cost", "tier": "priority"})
    assert without_suffixes("a:floor", gateway) == ("a", gateway)


def test_several_models_are_named_once_each_without_their_suffixes() -> None:
    found = without_suffixes(None, Gateway(said={"models": ("a:tps", "b", "a")}))
    assert found == ("a", Gateway(said={"models": ("a", "b"), "optimize": "tps"}))


@pytest.mark.parametrize(
    ("model", "said", "param"),
    [
        ("a:cost", {"optimize": "tps"}, "gateway.routing.optimize"),
        ("a:cost", {"weights": Weights(ttft=1.0)}, "gateway.routing.weights"),
        (None, {"models": ("a:cost", "b:tps")}, "gateway.models"),
        ("a", {"models": ("a",)}, "gateway.models"),
    ],
)
def test_contradictions_are_refused(model: str | None, said: Any, param: str) -> None:
    found = without_suffixes(model, Gateway(said=said))
    assert isinstance(found, Error)
    assert (found.kind, found.param) == (Kind.INVALID_VALUE, param)
