"""Opening a ledger by its URL."""

import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest

from veneer.ledger.memory import MemoryLedger
from veneer.ledger.opening import open_ledger
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.ledger.sqlite import SqliteLedger


def test_each_form_opens_its_ledger(tmp_path: Path) -> None:
    assert isinstance(open_ledger("memory://"), MemoryLedger)
    assert isinstance(open_ledger(f"sqlite:///{tmp_path}/ledger.db"), SqliteLedger)
    for url in ("postgresql://u:secret@host:1/db?sslmode=require", "postgres://host/db"):
        assert isinstance(open_ledger(url), PostgresqlLedger)
    assert not list(tmp_path.iterdir()), "nothing is made before it is used"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlit:///x", r"No ledger has a URL that begins sqlit:// \(is sqlite:// meant\?\)"),
        ("redis://:secret@x", "No ledger has a URL that begins redis://"),
        ("secret", "No ledger has a URL like this"),
        ("sqlite://x", "needs the path of a file"),
        ("sqlite:////nowhere/x.db", "does not exist"),
        ("postgresq://:secret@x", r"\(is postgresql:// meant\?\): give .* or postgresql://host"),
        ("postgresql://u:secret@h:port/db?nonsense=1", "PostgreSQL URL cannot be read"),
    ],
)
def test_other_urls_are_refused_without_what_is_in_them(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as found:
        open_ledger(url)
    assert "secret" not in str(found.value)


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="this is a folder: add a name"):
        open_ledger(f"sqlite:///{tmp_path}")


@pytest.mark.parametrize("module", ["psycopg", "sqlalchemy"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"package {module}: install veneer\[postgres\]"):
        open_ledger("postgresql://host/database")


def test_no_driver_is_imported_before_it_is_needed() -> None:
    code = "import sys, veneer.ledger.opening; print({'psycopg', 'sqlalchemy'} & {*sys.modules})"
    assert (
        subprocess.run([sys.executable, "-c", code], stdout=PIPE, check=True).stdout == b"set()\n"
    )
