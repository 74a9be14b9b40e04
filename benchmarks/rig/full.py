"""The full stack, as its users have it: a `veneer.toml`, keys in a store, `veneer serve`.

Stored keys, limits of requests, tokens and running calls, idempotency, a catalog, prices, budgets,
a ledger and receipts. Nothing is ever refused for its limits: what is measured is admitted.
"""

import asyncio
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from rig.completion import CLIENT_KEY
from veneer.keys.fields import KeyFields
from veneer.keys.issuer import Issuer
from veneer.keys.peppers import Peppers
from veneer.stores.opening import open_key_store

REDIS = os.environ.get("VENEER_TEST_REDIS", "redis://127.0.0.1:6379")
SERVER = os.environ.get("VENEER_TEST_POSTGRESQL", "postgresql://postgres@127.0.0.1:5432/test")

# The key of a client whose requests are used up after the first.
SPENT_KEY = "sk-spent-of-the-benchmarks"

TOML = """\
[serve]
workers = {workers}

[upstream]
url = "{origin}/v1"
api_key = "env:VENEER_BENCHMARK_KEY"

[upstream.limits]
max_connections = 20000
max_waiting = 20000
max_idle = 1024

[log]
enabled = {log}

[auth]
store = "{keys}"

[[auth.peppers]]
id = "1"
secret = "file:{pepper}"

[ratelimit]
{counters}

[[ratelimit.policies]]
limit = "100000000/minute"

[[ratelimit.policies]]
unit = "tokens"
limit = "100000000000/minute"

[[ratelimit.policies]]
unit = "concurrent-requests"
limit = 100000

[idempotency]
{recordings}

[[catalog.models]]
id = "small-model"

[[prices.models]]
model = "small-model"
input = "0.15"
output = "0.60"

[cost]
ledger = "{ledger}"

[[budgets]]
name = "all"
limit = "1000000000"
partition = "all"

[[budgets]]
name = "mine"
limit = "1000000000"
partition = "key"
"""


class Stores(msgspec.Struct, frozen=True):
    """Where keys, counters, recordings and the ledger are, as URLs; None is in the process."""

    keys: str
    ledger: str
    counters: str | None = None
    recordings: str | None = None


class Given(msgspec.Struct, frozen=True):
    """What is served: the configuration, and what stands in it."""

    config: Path
    stores: Stores
    peppers: Peppers


@contextmanager
def in_files() -> Iterator[Stores]:
    """Give stores in SQLite files, and in the process."""
    with TemporaryDirectory(prefix="veneer-benchmark-") as home:
        yield Stores(keys=f"sqlite:///{home}/keys.db", ledger=f"sqlite:///{home}/ledger.db")


@contextmanager
def in_servers() -> Iterator[Stores]:
    """Give stores in Redis and in a schema of PostgreSQL, which is removed afterwards."""
    psycopg = import_module("psycopg")
    name = f"veneer_benchmark_{os.getpid()}_{secrets.token_hex(3)}"
    with psycopg.connect(SERVER, autocommit=True) as connection:
        connection.execute(f"CREATE SCHEMA {name}")
        try:
            url = f"{SERVER}?options=-csearch_path%3D{name}"
            yield Stores(keys=url, ledger=url, counters=REDIS, recordings=REDIS)
        finally:
            connection.execute(f"DROP SCHEMA {name} CASCADE")


def servers_missing() -> str | None:
    """Return what to say where Redis or PostgreSQL does not answer."""
    if not find_spec("redis") or not find_spec("psycopg"):
        return (
            "the clients of Redis and PostgreSQL are missing (pip install 'veneer[redis,postgres]')"
        )
    client = import_module("redis").from_url(REDIS)
    try:
        client.ping()
        import_module("psycopg").connect(SERVER, connect_timeout=3).close()
    except (import_module("redis").RedisError, import_module("psycopg").OperationalError):
        return "Redis or PostgreSQL does not answer (VENEER_TEST_REDIS, VENEER_TEST_POSTGRESQL)"
    finally:
        client.close()
    return None


@contextmanager
def configured(
    origin: str, stores: Stores, *, log: bool = False, workers: int = 1, tokens: int = 0
) -> Iterator[Given]:
    """Write the configuration of a stack before an origin, and make the keys of its clients.

    `tokens` is how many more keys there are: those that `token` names.
    """
    with TemporaryDirectory(prefix="veneer-benchmark-") as home:
        pepper = Path(home, "pepper")
        secret = secrets.token_hex(32)
        pepper.write_text(secret)
        config = Path(home, "veneer.toml")
        config.write_text(
            TOML.format(
                workers=workers,
                origin=origin,
                log=str(log).lower(),
                keys=stores.keys,
                pepper=pepper,
                counters=_store(stores.counters),
                recordings=_store(stores.recordings),
                ledger=stores.ledger,
            )
        )
        given = Given(config, stores, Peppers({"1": secret.encode()}, current="1"))
        asyncio.run(_make_keys(given, tokens))
        yield given


def token(number: int) -> str:
    """Return the key of one of the further clients."""
    return f"sk-client-{number:012d}"


def _store(url: str | None) -> str:
    return "" if url is None else f'store = "{url}"'


async def _make_keys(given: Given, tokens: int) -> None:
    store = open_key_store(given.stores.keys)
    issuer = Issuer(store, given.peppers)
    try:
        await issuer.import_token(CLIENT_KEY, KeyFields(name="client", team="research"))
        spent = KeyFields(name="spent", team="research", limits={"requests": "1/day"})
        await issuer.import_token(SPENT_KEY, spent)
        for number in range(tokens):
            fields = KeyFields(name=f"client {number}", team="research")
            await issuer.import_token(token(number), fields)
    finally:
        await store.aclose()
