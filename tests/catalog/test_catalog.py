"""Models by their names."""

import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.catalog.catalog import Catalog, matches
from veneer.catalog.model import Model
from veneer.catalog.permission import is_permitted
from veneer.facts import Principal

LLAMA = Model(id="llama-3", aliases=("gpt-4o", "gpt-4*"))
MINI = Model(id="mini", aliases=("gpt-4o-mini",))
TUNED = Model(id="ft:*", context_window=100)
CATALOG = Catalog([LLAMA, MINI, TUNED])


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("llama-3", LLAMA),
        ("gpt-4o", LLAMA),
        ("gpt-4-turbo", LLAMA),
        ("gpt-4o-mini", MINI),
        ("mini", MINI),
        ("GPT-4o", None),
        ("llama", None),
        ("", None),
    ],
)
def test_a_name_leads_to_its_model_exact_ones_first(name: str, found: Model | None) -> None:
    assert CATALOG.find(name) == found


def test_what_a_pattern_stands_for_goes_by_its_own_name() -> None:
    found = CATALOG.find("ft:mine")
    assert found is not None
    assert (found.id, found.context_window) == ("ft:mine", 100)


def test_of_patterns_the_longest_counts() -> None:
    short, long = Model(id="a", aliases=("x*",)), Model(id="b", aliases=("xy*",))
    assert Catalog([short, long]).find("xyz") == long


def test_names_are_listed_without_patterns_and_hidden_models() -> None:
    hidden = Model(id="hidden", listed=False)
    listed = [name for name, _ in Catalog([LLAMA, hidden, MINI, TUNED]).names()]
    assert listed == ["llama-3", "gpt-4o", "mini", "gpt-4o-mini"]


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        ([LLAMA, Model(id="gpt-4o")], "Two models go by the name 'gpt-4o'"),
        ([Model(id="a*", aliases=("b",))], "stands for many"),
    ],
)
def test_names_that_are_not_clear_are_refused(models: list[Model], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        Catalog(models)


def test_the_version_changes_with_what_is_in_it() -> None:
    assert Catalog([LLAMA]).version == Catalog([LLAMA], made=5).version
    assert Catalog([LLAMA]).version != Catalog([MINI]).version


@given(st.text(max_size=20))
def test_any_text_may_be_asked_for(name: str) -> None:
    found = CATALOG.find(name)
    assert found is None or found.id == name or matches((*found.aliases, found.id), name)


@pytest.mark.parametrize(
    ("patterns", "permitted"),
    [
        (None, True),
        (("*",), True),
        (("gpt-4o", "llama-3"), True),
        (("gpt-4*", "llama*"), True),
        (("gpt-4o",), False),
        (("llama-3",), False),
        ((), False),
    ],
)
def test_a_caller_needs_both_names_of_an_alias(
    patterns: tuple[str, ...] | None, *, permitted: bool
) -> None:
    assert is_permitted(Principal(id="k", models=patterns), "gpt-4o", LLAMA) == permitted


def test_a_caller_of_the_models_own_name_needs_that_alone() -> None:
    assert is_permitted(Principal(id="k", models=("llama-3",)), "llama-3", LLAMA)
    assert is_permitted(None, "llama-3", LLAMA)


def test_the_version_is_the_same_in_every_process() -> None:
    """Sets of texts are in another order in each."""
    program = (
        "from veneer.catalog.catalog import Catalog; from veneer.catalog.model import Model;"
        "able = frozenset(['tools', 'vision', 'json_object', 'json_schema', 'streaming']);"
        "print(Catalog([Model(id='m', capabilities=able)]).version)"
    )
    told = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(told) == 1
