"""Opening a ledger by its URL."""

from pathlib import Path

import pytest

from veneer.ledger.memory import MemoryLedger
from veneer.ledger.opening import open_ledger
from veneer.ledger.sqlite import SqliteLedger


def test_each_form_opens_its_ledger(tmp_path: Path) -> None:
    assert isinstance(open_ledger("memory://"), MemoryLedger)
    assert isinstance(open_ledger(f"sqlite:///{tmp_path}/ledger.db"), SqliteLedger)
    assert not list(tmp_path.iterdir()), "nothing is made before it is used"


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("sqlit:///x", r"No ledger has a URL that begins sqlit:// \(is sqlite:// meant\?\)"),
        ("redis://:secret@x", "No ledger has a URL that begins redis://"),
        ("secret", "No ledger has a URL like this"),
        ("sqlite://x", "needs the path of a file"),
        ("sqlite:////nowhere/x.db", "does not exist"),
    ],
)
def test_other_urls_are_refused_without_what_is_in_them(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as found:
        open_ledger(url)
    assert "secret" not in str(found.value)
