"""Processes that are killed while they write into a ledger; see `killing` for many more of them."""

import sys
from pathlib import Path
from secrets import randbelow

import pytest

from tests.answers import Answer
from tests.ledger import killing
from tests.ledger.clients import Called, called
from tests.ledger.killing import Load
from tests.ledger.report import said_in
from tests.stores.databases import postgresql_schema

LOAD = Load(kills=6, rate=3.0, servers=2, clients=6, lease=1.0)


@pytest.mark.skipif(sys.platform != "linux", reason="forks servers")
@pytest.mark.timeout(240)
@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
async def test_what_the_model_server_served_is_in_the_ledger_whoever_is_killed(
    store: str, tmp_path: Path
) -> None:
    seed = randbelow(1000)
    if store == "sqlite":
        report = await killing.run(tmp_path, f"sqlite:///{tmp_path}/ledger.db", LOAD, seed)
    else:
        with postgresql_schema() as url:
            report = await killing.run(tmp_path, url, LOAD, seed)
    seen = "\n".join([f"seed {seed}", *report.lines()])
    assert not report.faults, seen
    assert report.kills == LOAD.kills
    assert report.sums["completed"].rows > 0, seen


def test_some_keys_are_poor_and_one_has_no_limit() -> None:
    limits = list(killing.limits_of(100).values())
    poorest = 100 * killing.POOREST
    assert limits == [poorest << number for number in range(killing.LIMITED)] + [None]


def test_what_servers_say_is_counted_by_its_words(tmp_path: Path) -> None:
    lines = ["2026-01-01 10:00:00,1 ERROR 12 are lost", "2026-01-01 10:00:01,7 ERROR 7 are lost"]
    (tmp_path / "said").write_text("\n".join(lines))
    assert said_in(tmp_path) == {"ERROR # are lost": 2}


def test_receipts_are_read_from_fields_and_from_events() -> None:
    plain = Answer(200, {"x-cost-usd": "0.000011"}, b"{}", whole=True, seconds=0)
    assert called("a", plain) == Called("a", 200, whole=True, receipt=11_000_000)
    stream = Answer(200, {}, b'data: {"usage":{"cost":0.5}}', whole=False, seconds=0)
    assert called("b", stream) == Called("b", 200, whole=False, receipt=5 * 10**11)
    assert called("c", None) == Called("c", -1, whole=False)
