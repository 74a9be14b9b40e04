"""Fields of keys: each that cannot be is refused under its own name."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from veneer.auth import scopes
from veneer.keys.fields import MAX_ENTRIES, MAX_TEXT, SCOPES, FieldError, KeyFields

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG = "x" * (MAX_TEXT + 1)


def test_the_scopes_are_those_that_the_auth_layer_knows() -> None:
    assert SCOPES == scopes.SCOPES


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"team": "ops", "user": "Émile 🙂", "tags": ("ci",)},
        {"scopes": frozenset(SCOPES)},
        {"operations": frozenset({"embeddings", "/rerank", "/v1/score"})},
        {"models": ("gpt-*",)},
        {"limits": {"requests": "10/minute"}, "budgets": {"month": "20 USD"}},
        {"budgets": {"a": "0", "b": "0.50", "c": "unlimited", "d": "999999999999 usd"}},
        {"limits": {"a": "60/minute; 10000/day", "b": "20", "c": "unlimited"}},
        {"not_before": NOW - timedelta(days=1), "expires_at": NOW + timedelta(seconds=1)},
    ],
)
def test_what_can_be_is_returned(members: dict[str, Any]) -> None:
    fields = KeyFields(name="n" * MAX_TEXT, **members)
    assert fields.checked(NOW) is fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("name", ""),
        ("name", LONG),
        ("name", "two\nlines"),
        ("name", "nul\0"),
        ("name", "\ud800"),
        ("team", ""),
        ("team", "\x1b[31m"),
        ("user", LONG),
        ("scopes", frozenset()),
        ("scopes", frozenset({"root"})),
        ("scopes", frozenset({"write", "\0"})),
        ("scopes", frozenset(f"s{n}" for n in range(MAX_ENTRIES + 1))),
        ("operations", frozenset()),
        ("operations", frozenset({"chat.completion"})),
        ("operations", frozenset({"/v1/embeddings"})),
        ("operations", frozenset({"/a/../b"})),
        ("operations", frozenset({LONG})),
        ("models", ()),
        ("models", ("",)),
        ("models", ("m",) * (MAX_ENTRIES + 1)),
        ("tags", ("a", "\0")),
        ("limits", {"": "10/minute"}),
        ("limits", {"requests": "\n"}),
        ("limits", {"requests": "0/minute"}),
        ("limits", {"requests": "10/minute; 20/minute"}),
        ("limits", {"requests": "ten"}),
        ("limits", {"concurrent-requests": "0"}),
        ("limits", {"concurrent-requests": "-1"}),
        ("limits", {"tokens": "9999999999999999/minute"}),
        ("limits", {"tokens": "10/minute", "réquêtes 🙂": "5/\u017fecond"}),
        ("budgets", {"month": LONG}),
        ("budgets", {"month": "ten"}),
        ("budgets", {"month": "-1"}),
        ("budgets", {"month": "10/day"}),
        ("budgets", {"month": "10 EUR"}),
        ("budgets", {"month": "0.0000000000001"}),
        ("budgets", {"day": "1", "monät 🙂": "\u0661"}),
        ("budgets", {f"b{n}": "1" for n in range(MAX_ENTRIES + 1)}),
        ("not_before", datetime(2026, 3, 1)),  # noqa: DTZ001 - a time without a zone is the case
        ("not_before", datetime(1, 1, 1, tzinfo=UTC)),
        ("expires_at", datetime(2027, 3, 1)),  # noqa: DTZ001 - as above
        ("expires_at", datetime(9999, 12, 31, tzinfo=UTC)),
        ("expires_at", NOW),
        ("expires_at", NOW - timedelta(days=1)),
    ],
)
def test_what_cannot_be_is_refused_under_its_name(field: str, value: Any) -> None:
    members = {"name": "n", field: value}
    with pytest.raises(FieldError) as raised:
        KeyFields(**members).checked(NOW)
    assert raised.value.field == field
    assert field in str(raised.value) or field == "operations"
    assert str(raised.value).isprintable()


def test_no_tag_is_one_that_a_client_could_give() -> None:
    assert KeyFields(name="n", tags=("clients", "a")).checked(NOW).tags == ("clients", "a")
    with pytest.raises(FieldError, match=r"^tags has 'client:a': client: begins the tags"):
        KeyFields(name="n", tags=("a", "client:a")).checked(NOW)


def test_the_entry_of_a_limit_that_cannot_be_is_named() -> None:
    limits = {"requests": "10/minute", "tokens": "10/eon"}
    with pytest.raises(FieldError, match=r"^limits has 'tokens': '10/eon' is no limit: give rates"):
        KeyFields(name="n", limits=limits).checked(NOW)


def test_the_entry_of_a_budget_that_cannot_be_is_named() -> None:
    budgets = {"day": "unlimited", "month": "1e3"}
    with pytest.raises(FieldError, match=r"^budgets has 'month': '1e3' is no budget: give dollars"):
        KeyFields(name="n", budgets=budgets).checked(NOW)


def test_notation_is_loaded_only_for_keys_with_limits() -> None:
    code = (
        "import sys\n"
        "from datetime import UTC, datetime\n"
        "from veneer.cli import main\n"
        "from veneer.keys.fields import KeyFields\n"
        "for limits in ({}, {'a': '20', 'b': 'unlimited'}, {'a': '1/day'}):\n"
        "    KeyFields(name='n', limits=limits).checked(datetime.now(UTC))\n"
        "    print('limits' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False", "True"]


def test_a_key_cannot_end_before_it_begins() -> None:
    begins = NOW + timedelta(days=2)
    with pytest.raises(FieldError, match="after not_before") as raised:
        KeyFields(name="n", not_before=begins, expires_at=begins).checked(NOW)
    assert raised.value.field == "expires_at"
