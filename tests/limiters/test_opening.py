"""URLs of limiters, and the sentences about those that cannot be."""

import sys
from pathlib import Path

import pytest

from veneer.limiters.guarded import Guarded
from veneer.limiters.memory import MemoryLimiter
from veneer.limiters.opening import open_limiter
from veneer.limiters.redis import RedisLimiter
from veneer.limiters.shared import SharedLimiter
from veneer.quotas.quota import Charge, Quota

FORMS = r"give memory://, shared:///absolute/file, redis://"
CHARGE = Charge(Quota(policy="p", unit="requests", limit=1, window=60.0), ("key",), 1)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("", f"URL like this: {FORMS}"),
        ("://", f"URL like this: {FORMS}"),
        ("memory", rf"like this \(is memory:// meant\?\): {FORMS}"),
        ("memory://name", r"begins memory:// \(is memory:// meant\?\)"),
        ("redis:host", r"like this \(is redis:// meant\?\)"),
        ("Redis://host", r"begins Redis:// \(is redis:// meant\?\)"),
        ("redi://host", r"begins redi:// \(is redis:// meant\?\)"),
        ("vallkey://host", r"begins vallkey:// \(is valkey:// meant\?\)"),
        ("share:///file", r"begins share:// \(is shared:// meant\?\)"),
        ("postgresql://host/db", f"begins postgresql://: {FORMS}"),
        ("x" * 100_000, f"like this: {FORMS}"),
        ("shared://", "absolute path of a file: shared:///absolute/file"),
        ("shared:///", "absolute path of a file"),
        ("shared://relative", "absolute path of a file"),
        ("shared:///folder/", "absolute path of a file"),
        ("shared:///no/such/file", "folder /no/such for the file of limits does not exist: create"),
    ],
)
def test_an_impossible_url_is_refused_with_what_to_write_instead(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        open_limiter(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://user:hunter2",
        "redis://user:hunter2/0",
        "redis://user:x@host:hunter2/0",
        "rediss://:hunter2@[host/0",
        "valkey://user:hunter2",
        "redis://user:hunter2@host:port/0",
        "redis://user:hunter2@host/0?max_connections=hunter2",
        "redis://user:hunter2@host/0?prefix=hunter2",
        "unix:///socket?prefix=hunter2",
        "redis+cluster://user:hunter2@host/3",
        "hunter2@host:6379",
        "user:hunter2@host:6379",
        "user:hunter2@redis://host",
        "hunter2",
        "redis:hunter2@host://x",
    ],
)
def test_no_part_of_a_url_that_may_be_a_password_is_shown(url: str) -> None:
    with pytest.raises(ValueError, match="URL") as error:
        open_limiter(url)
    assert "hunter2" not in str(error.value)
    assert error.value.__suppress_context__ or error.value.__context__ is None


@pytest.mark.parametrize("scheme", ["redis", "rediss", "unix", "valkey", "valkeys"])
def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(ValueError, match=r"package redis: install veneer\[redis\]"):
        open_limiter(f"{scheme}://host")


def test_a_system_without_locks_of_files_is_told_what_to_use(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "veneer.limiters.shared", None)
    with pytest.raises(ValueError, match=r"no flock.*use a redis:// limiter"):
        open_limiter("shared:///tmp/file")


def test_every_limiter_in_memory_is_a_new_one() -> None:
    limiter = open_limiter("memory://")
    assert isinstance(limiter, MemoryLimiter)
    assert limiter is not open_limiter("memory://")


@pytest.mark.parametrize("url", ["shared:///tmp/file", "redis://host"])
def test_a_timeout_is_positive(url: str) -> None:
    with pytest.raises(ValueError, match="positive"):
        open_limiter(url, timeout=0)


async def test_workers_of_one_machine_share_a_file(tmp_path: Path) -> None:
    url = f"shared://{tmp_path}/limits %41"
    refused = []
    for _ in range(2):
        limiter = open_limiter(url, timeout=5.0)
        assert isinstance(limiter, Guarded)
        assert isinstance(limiter._limiter, SharedLimiter)
        async with limiter.lifespan():
            refused.append((await limiter.take([CHARGE])).refused)
    assert refused == [(), (0,)]
    assert (tmp_path / "limits %41").exists()


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:1/0",
        "rediss://user:p%40ss@127.0.0.1:1/0",
        "unix:///nowhere/at/all.sock?db=0",
        "valkey://127.0.0.1:1",
        "valkeys://127.0.0.1:1",
    ],
)
async def test_a_server_is_not_connected_to_before_it_is_used(url: str) -> None:
    limiter = open_limiter(url, timeout=5.0)
    assert isinstance(limiter, Guarded)
    assert isinstance(limiter._limiter, RedisLimiter)
    async with limiter.lifespan():
        assert limiter.failures == 0
        assert (await limiter.take([CHARGE])).refused == ()
        assert limiter.failures == 1
        assert (await limiter.take([CHARGE])).refused == (0,)
