"""`veneer budgets` on a SQLite ledger: what is shown, what is set, and what cannot be."""

import asyncio
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from veneer.budgets.policy import BudgetPolicy
from veneer.cli import main
from veneer.ledger.entry import Exhausted, Hold, Settlement
from veneer.ledger.sqlite import SqliteLedger
from veneer.prices.money import DOLLAR

Run = Callable[..., Any]

CONFIG = """
[cost]
ledger = "sqlite:///ledger.db"

[[budgets]]
name = "purse"
limit = "20"
period = "total"

[[budgets]]
name = "models"
limit = "unlimited"
period = "total"
partition = ["key", "model"]

[[budgets]]
name = "everybody"
limit = "1000"
period = "total"
partition = "all"
"""

PURSE = BudgetPolicy("20", name="purse", period="total")
MODELS = BudgetPolicy(None, name="models", period="total", partition=["key", "model"])


async def hold(folder: Path, call: str, team: str = "acme", spent: int | None = None) -> bool:
    """Hold half a dollar for a call, and settle it if it is said what it came to."""
    partitions = {PURSE: ("team", team), MODELS: ("key", "key_1", "model", "m")}
    now = time.time()
    accounts = [
        account
        for policy, partition in partitions.items()
        for account in policy.accounts_for([partition], None, now)
    ]
    ledger = SqliteLedger(folder / "ledger.db")
    async with ledger.lifespan():
        held = Hold(call=call, amount=DOLLAR // 2, accounts=tuple(accounts), at=now, team=team)
        if isinstance(await ledger.hold(held), Exhausted):
            return False
        end = Settlement(call=call, state="completed", at=now, total=spent or 0)
        await ledger.settle(end)
    return True


@pytest.fixture
def budgets(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs `veneer budgets` on a ledger in use, and returns what it said."""
    (tmp_path / "veneer.toml").write_text(CONFIG)
    asyncio.run(hold(tmp_path, "call_1", spent=DOLLAR // 4))

    def run(*arguments: str, config: bool = True, code: int = 0) -> Any:
        capsys.readouterr()
        place = ["--config", f"{tmp_path}/veneer.toml"]
        if not config:
            place = ["--ledger", f"sqlite:///{tmp_path}/ledger.db"]
        found = main(["budgets", *arguments, *place])
        said = capsys.readouterr()
        assert found == code, said.err
        if code:
            assert said.out == ""
            assert said.err.count("\n") == 1
            return said.err
        return json.loads(said.out) if "--json" in arguments else said.out

    return run


def rows(table: str) -> dict[tuple[str, ...], list[str]]:
    """Return the lines of a table by budget and whose, in words."""
    heading, *lines = table.splitlines()
    assert heading.split() == ["BUDGET", "WHOSE", "ENDS", "LIMIT", "SPENT", "HELD", "REMAINING"]
    split = [line.split() for line in lines]
    return {
        tuple(words[: words.index("never")]): words[words.index("never") + 1 :] for words in split
    }


def test_all_accounts_are_shown_with_their_limits(budgets: Run) -> None:
    assert rows(budgets("list")) == {
        ("purse", "team=acme"): ["$20", "$0.2500", "$0.0000", "$19.7500"],
        ("models", "key=key_1", "model=m"): ["unlimited", "$0.2500", "$0.0000", "-"],
    }


def test_a_long_name_hides_no_other_and_none_can_write_on_the_terminal(budgets: Run) -> None:
    long = "k" * 60
    budgets("set", "models", f"key={long}", "model=\x1b[2J", "5")
    assert f"models  key={'k' * 35}… model=\\x1b[2J  never" in budgets("list")


def test_without_a_configuration_only_limits_that_were_set_are_known(budgets: Run) -> None:
    assert rows(budgets("list", config=False))["purse", "team=acme"][0] == "-"
    budgets("set", "purse", "team=acme", "0.20", config=False)
    found = rows(budgets("list", config=False))["purse", "team=acme"]
    assert found == ["$0.2", "(set)", "$0.2500", "$0.0000", "-$0.0500"]


def test_a_limit_that_is_set_holds_the_next_call_until_it_is_cleared(
    budgets: Run, tmp_path: Path
) -> None:
    said = budgets("set", "purse", "team=acme", "0.5")
    assert said == "The limit of purse for team=acme is $0.5 from the next call on.\n"
    assert not asyncio.run(hold(tmp_path, "call_2"))
    assert asyncio.run(hold(tmp_path, "call_3", team="other"))
    budgets("set", "purse", "team=acme", "unlimited")
    assert asyncio.run(hold(tmp_path, "call_4"))
    budgets("set", "purse", "team=acme", "0 USD")
    assert not asyncio.run(hold(tmp_path, "call_5"))
    assert "is what it was before" in budgets("clear", "purse", "team=acme")
    assert asyncio.run(hold(tmp_path, "call_6"))
    assert "no limit is set of purse for team=acme" in budgets(
        "clear", "purse", "team=acme", code=2
    )


def test_a_limit_for_somebody_who_has_not_called_waits_and_is_shown(budgets: Run) -> None:
    budgets("set", "everybody", "5")
    assert rows(budgets("list"))["everybody", "all"] == [
        *("$5", "(set)"),
        *("$0.0000", "$0.0000", "$5.0000"),
    ]
    budgets("clear", "everybody", "all")
    assert ("everybody", "all") not in rows(budgets("list"))


def test_programs_get_json(budgets: Run) -> None:
    budgets("set", "models", "model=m", "key=key_1", "7.5")
    [models, purse] = budgets("list", "--json")
    assert purse["limit"] == "20"
    assert models == {
        "object": "budget",
        "name": "models",
        "partition": {"key": "key_1", "model": "m"},
        "period": "total",
        "starts_at": None,
        "ends_at": None,
        "limit": "7.5",
        "limit_set": True,
        "spent": "0.25",
        "held": "0",
        "remaining": "7.25",
    }


@pytest.mark.usefixtures("budgets")
def test_who_sets_a_limit_where_nothing_is_counted_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ledger = ["--ledger", f"sqlite:///{tmp_path}/ledger.db"]
    for whose, told in (("team=acme", False), ("team=amce", True)):
        capsys.readouterr()
        assert main(["budgets", "set", "purse", whose, "5", *ledger]) == 0
        assert ("No call has been counted there" in capsys.readouterr().err) is told


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["set", "purse", "team=acme", "lots"], "'lots' is no budget: give dollars"),
        (["set", "purse", "team=acme"], "'team=acme' is no budget"),
        (["set", "purse", "5"], "budget 'purse': this budget goes by team"),
        (["set", "purse", "user=u", "5"], "goes by team: say"),
        (["set", "models", "key=k", "5"], "goes by key and model: say"),
        (["set", "everybody", "team=acme", "5"], "goes by all, not by team"),
        (["set", "purse", "acme", "5"], "'acme' is nobody: say who is meant as team=acme"),
        (["set", "purse", "team=a", "team=b", "5"], "'team' is said twice"),
        (["set", "purse", "peer=here", "5"], "'here' is no address"),
        (["set", "purse", f"team={'a' * 600}", "5"], "A partition has at most"),
        (["set", "purs", "team=acme", "5"], "there is no budget 'purs': did you mean 'purse'?"),
        (["clear", "day", "team=acme"], "there are purse, models, everybody."),
        (["clear", "models", "key=k", "model=n"], "no limit is set of models for key=k model=n"),
    ],
)
def test_what_cannot_be_is_said_in_one_sentence(
    arguments: list[str], sentence: str, budgets: Run
) -> None:
    assert sentence in budgets(*arguments, code=2)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "no ledger is named: give --ledger sqlite:///file.db, or --config"),
        (["--ledger", "memory://"], "in its own process only"),
        (["--ledger", "sqlite:////none/l.db"], "The folder /none"),
        (["--config", "/none/veneer.toml"], "/none/veneer.toml cannot be read"),
    ],
)
def test_a_ledger_that_cannot_be_used_is_said(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["budgets", "list", *arguments]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert said.count("\n") == 1


def test_a_ledger_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["budgets", "set", "b", "5", "--ledger", f"sqlite:///{tmp_path}/l.db"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert not (tmp_path / "l.db").exists()


def test_a_ledger_without_accounts_has_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def used() -> None:
        ledger = SqliteLedger(tmp_path / "l.db")
        async with ledger.lifespan():
            await ledger.balances([])

    asyncio.run(used())
    place = ["--ledger", f"sqlite:///{tmp_path}/l.db"]
    assert main(["budgets", "list", *place]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "Nothing is counted yet, and no limit is set.\n")
