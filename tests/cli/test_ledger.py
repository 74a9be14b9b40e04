"""`veneer ledger verify` on a SQLite file."""

import json
from pathlib import Path

import pytest

from tests.books.ledgers import call
from tests.cli.ledgers import altered, ledger_of
from veneer.cli import main


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def url(path: Path) -> str:
    return ledger_of(path, [call(f"call-{number}") for number in range(3)])


def test_a_ledger_in_order_is_told_and_the_code_is_0(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ledger", "verify", "--ledger", url]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "calls     3, of which 0 are open",
        "accounts  2",
        "All adds up: parts to costs, calls to accounts. No call is open of a dead process.",
    ]
    assert main(["ledger", "verify", "--ledger", url, "--json"]) == 0
    found = {"rows": 3, "accounts": 2, "open": 0, "found": 0, "wrong": []}
    assert json.loads(capsys.readouterr().out) == found


def test_what_is_wrong_is_told_and_the_code_is_1(
    url: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(path, "UPDATE entries SET call = 'call' || char(27) || '[2J' WHERE call = 'call-1'")
    altered(path, "UPDATE entries SET parts = '{}' WHERE id = 2")
    altered(path, "UPDATE accounts SET held = '9' WHERE budget = 'key'")
    assert main(["ledger", "verify", "--ledger", url]) == 1
    printed = capsys.readouterr().out
    assert printed.replace("\n", "").isprintable()
    assert [line for line in printed.splitlines() if line.startswith("wrong")] == [
        "wrong     The call call\\x1b[2J costs 4 picodollars, and its parts come to 0.",
        "wrong     9 picodollars are held on the account 2, and its rows come to 0.",
    ]
    assert main(["ledger", "verify", "--ledger", url, "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["kind"] for each in found["wrong"]] == ["parts", "held"]


def test_many_findings_are_counted(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = ledger_of(path, [call(f"call-{number}") for number in range(105)])
    altered(path, "UPDATE entries SET parts = '{}'")
    assert main(["ledger", "verify", "--ledger", url]) == 1
    assert capsys.readouterr().out.splitlines()[-1] == "wrong     and 5 more"


def test_calls_that_a_dead_process_left_are_found(
    url: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(path, "UPDATE entries SET state = 'held', owner = 99 WHERE call = 'call-0'")
    assert main(["ledger", "verify", "--ledger", url]) == 1
    assert "The process 99 is no more, and calls of it are open: 1." in capsys.readouterr().out


def test_a_process_that_shows_no_life_is_waited_for_as_long_as_is_said(
    url: str, path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    altered(path, "UPDATE entries SET state = 'held', owner = 99 WHERE call = 'call-0'")
    altered(path, "INSERT INTO owners VALUES (99, 't', 'n', 0, 0)")
    assert main(["ledger", "verify", "--ledger", url, "--lease", "1s"]) == 1
    assert "The process 99 is no more" in capsys.readouterr().out


@pytest.mark.parametrize("lease", ["0s", "31m", "soon"])
def test_a_lease_is_a_length_of_time(
    url: str, lease: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ledger", "verify", "--ledger", url, "--lease", lease]) == 2
    assert lease in capsys.readouterr().err


def test_what_cannot_be_checked_is_said_and_the_code_is_2(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["ledger", "verify", "--ledger", f"sqlite:///{path}"]) == 2
    assert "there is no file" in capsys.readouterr().err
    assert main(["ledger", "verify"]) == 2
    assert "no ledger is named" in capsys.readouterr().err
