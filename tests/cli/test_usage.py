"""`veneer usage` on a SQLite file."""

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.books.ledgers import call
from tests.cli.ledgers import ledger_of
from veneer.cli import main
from veneer.facts import Usage
from veneer.prices.money import DOLLAR

Run = Callable[..., str]
DAY = 86400.0

USED = Usage(input_tokens=1234567, output_tokens=2, cached_input_tokens=3)
CALLS = (
    call("a", team="red", model="=1+1", at=DAY, total=1234 * DOLLAR + DOLLAR // 8, usage=USED),
    call("b", team="red", model="+ok", at=2 * DAY, total=0, state="failed"),
    call("c", team="\x1b[2Jblue", model='m,"1"\n', at=3 * DAY, total=1),
    call("d", model="\x1b]0;x\x07", at=3 * DAY + 9, total=0, estimated=True),
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return ledger_of(tmp_path / "ledger.db", CALLS)


@pytest.fixture
def usage(url: str, capsys: pytest.CaptureFixture[str]) -> Run:
    """Give a function that runs `veneer usage` and returns what it printed."""

    def run(*arguments: str) -> str:
        capsys.readouterr()
        assert main(["usage", "--ledger", url, *arguments]) == 0
        return capsys.readouterr().out

    return run


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    capsys.readouterr()
    assert main(["usage", *arguments]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    return said.err


def test_a_table_is_aligned_and_ends_with_the_total(usage: Run) -> None:
    assert usage().splitlines() == [
        "TEAM         CALLS  FAILED  ESTIMATED      INPUT  CACHED  OUTPUT        SPENT",
        "red              2       1          0  1,234,567       3       2  $1,234.1250",
        "\\x1b[2Jblue      1       0          0          0       0       0     <$0.0001",
        "(none)           1       0          1          0       0       0      $0.0000",
        "total            4       1          1  1,234,567       3       2  $1,234.1250",
    ]


def test_days_come_in_their_order(usage: Run) -> None:
    groups = [line.split()[0] for line in usage("--by", "day").splitlines()]
    assert groups == ["DAY", "1970-01-02", "1970-01-03", "1970-01-04", "total"]


def test_what_there_is_no_room_for_is_added_up(usage: Run) -> None:
    assert "(2 others)" in usage("--by", "model", "--limit", "2")
    assert "(2 earlier days)" in usage("--by", "day", "--limit", "1")


@pytest.mark.parametrize(
    ("arguments", "calls"),
    [
        (["--since", "1970-01-03"], 3),
        (["--since", "1970-01-03T00:00:01"], 2),
        (["--since", "1970-01-03T01:00:00+01:00"], 3),
        (["--until", "1970-01-03"], 1),
        (["--since", "1970-01-03", "--until", "1970-01-04T00:00:00Z"], 1),
        (["--since", "7d"], 0),
        (["--until", "7d"], 4),
    ],
)
def test_calls_are_those_of_a_time(usage: Run, arguments: list[str], calls: int) -> None:
    found = json.loads(usage("--json", *arguments))
    assert sum(line["calls"] for line in found) == calls


def test_programs_get_exact_dollars(usage: Run) -> None:
    found = json.loads(usage("--json"))
    assert [line["team"] for line in found] == ["red", "\x1b[2Jblue", None]
    assert [line["spent"] for line in found] == ["1234.125", "0.000000000001", "0"]
    assert found[0] == {
        "team": "red",
        "groups": 1,
        "calls": 2,
        "failed": 1,
        "estimated": 0,
        "abandoned": 0,
        "open": 0,
        "input_tokens": 1234567,
        "cached_input_tokens": 3,
        "output_tokens": 2,
        "reasoning_tokens": 0,
        "spent": "1234.125",
        "held": "0",
    }


def test_a_spreadsheet_takes_no_name_for_a_formula(usage: Run) -> None:
    """Models are named by those who call."""
    printed = usage("--by", "model", "--csv")
    rows = list(csv.DictReader(io.StringIO(printed)))
    assert [(row["model"], row["spent"]) for row in rows] == [
        ("'=1+1", "1234.125"),
        ('m,"1"\\n', "0.000000000001"),
        ("\\x1b]0;x\\x07", "0"),
        ("'+ok", "0"),
    ]
    assert printed.replace("\n", "").isprintable()


def test_nothing_is_told_where_there_is_nothing(
    usage: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert usage("--since", "1999-01-01") == ""
    assert usage("--since", "1999-01-01", "--json") == "[]\n"
    assert usage("--since", "1999-01-01", "--csv").count("\n") == 1


def test_the_configuration_names_a_ledger(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "veneer.toml"
    config.write_text('[upstream]\nurl = "http://h/v1"\n[cost]\nledger = "sqlite:///ledger.db"\n')
    assert main(["usage", "--config", str(config), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3
    monkeypatch.setenv("LEDGER", url)
    assert main(["usage", "--ledger", "env:LEDGER", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_what_cannot_be_read_is_said_in_a_sentence(
    tmp_path: Path, url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "veneer.toml"
    config.write_text('[upstream]\nurl = "http://h/v1"\n')
    none = "no ledger is named: give --ledger"
    assert none in refused(capsys)
    assert none in refused(capsys, "--config", str(config))
    gone = refused(capsys, "--ledger", f"sqlite:///{tmp_path}/gone.db")
    assert "the ledger cannot be read: there is no file" in gone
    assert "--ledger: A ledger in memory" in refused(capsys, "--ledger", "memory://")
    assert "has a password in it" in refused(capsys, "--ledger", "postgresql://a:pw@h/d")
    assert "is no time" in refused(capsys, "--ledger", url, "--since", "yesterday")
    both = refused(capsys, "--ledger", url, "--since", "2026-01-02", "--until", "2026-01-02")
    assert "--since is not before --until" in both


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1000000", "²"])
def test_a_number_of_lines_is_positive(limit: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["usage", "--limit", limit])
    assert left.value.code == 2
    assert "no number of lines" in capsys.readouterr().err
