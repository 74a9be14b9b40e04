"""Where calls wait for a ledger that is away, as it is configured."""

from pathlib import Path
from typing import Any

import pytest

from tests.config.test_cost import PRICES, built, layer_of
from veneer import ConfigurationError


def spool_of(cost: dict[str, Any], folder: Path) -> Path | None:
    """Return the folder that is configured."""
    spool = layer_of(built({"prices": PRICES, "cost": cost}, folder))._till._spool
    return None if spool is None else spool._folder


SQLITE = {"ledger": "sqlite:///ledger.db"}
OPEN = {"on_failure": "open"}


def test_calls_wait_beside_the_file_of_the_ledger(tmp_path: Path) -> None:
    beside = tmp_path / "ledger.db-spool"
    assert spool_of({**SQLITE, **OPEN}, tmp_path) == beside
    assert spool_of(SQLITE, tmp_path) is None
    assert not beside.exists()
    beside.mkdir()
    assert spool_of(SQLITE, tmp_path) == beside, "what is left there is not forgotten"


@pytest.mark.parametrize("failure", ["open", "closed"])
def test_or_where_it_is_said(tmp_path: Path, failure: str) -> None:
    cost = {**SQLITE, "on_failure": failure, "spool": "waiting", "max_spool": 7}
    assert spool_of(cost, tmp_path) == tmp_path / "waiting"
    layer = layer_of(built({"prices": PRICES, "cost": cost}, tmp_path))
    assert layer._till._spool is not None
    assert layer._till._spool._max_bytes == 7


@pytest.mark.parametrize("cost", [OPEN, {**OPEN, "ledger": "memory://"}])
def test_a_ledger_in_memory_needs_none(tmp_path: Path, cost: dict[str, str]) -> None:
    assert spool_of(cost, tmp_path) is None


@pytest.mark.parametrize(
    ("cost", "sentence"),
    [
        ({"spool": "waiting"}, r"\[cost\] spool: a ledger in memory is never away"),
        ({**OPEN, "ledger": "postgresql://localhost/x"}, r"nothing says where calls wait.*spool ="),
        ({**SQLITE, "spool": "no/waiting"}, r"\[cost\] spool: the folder .*/no does not exist"),
        ({**SQLITE, "spool": "file"}, r"\[cost\] spool: .*/file is no folder"),
        ({**SQLITE, "spool": ""}, r"\[cost\] spool must be"),
        ({**SQLITE, "max_spool": 0}, r"\[cost\] max_spool must be"),
    ],
)
def test_what_cannot_be_is_said_with_its_table(
    tmp_path: Path, cost: dict[str, Any], sentence: str
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigurationError, match=sentence):
        spool_of(cost, tmp_path)


async def test_a_folder_that_cannot_be_written_is_said_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = built({"prices": PRICES, "cost": {**SQLITE, **OPEN}}, tmp_path)

    def full(*_arguments: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.write", full)
    with pytest.raises(RuntimeError, match=r"ledger.db-spool cannot be written \(No space"):
        async with stack.lifespan():
            pytest.fail("it started")
