"""Processes that serve calls over one ledger, which start fast enough to be killed by the hundred.

They are forked from one that has imported everything, and serve on sockets of ours, so that who
calls in between waits for the next one.
"""

import os
import socket
from collections.abc import Mapping
from functools import partial
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import msgspec
from starlette.middleware import Middleware

from tests.ledger import modelserver
from veneer.auth.static import StaticKeys, digest_of
from veneer.budgets.policy import BudgetPolicy
from veneer.cli import logs, server
from veneer.config import parse
from veneer.facts import Principal
from veneer.layers.auth import AuthMiddleware
from veneer.layers.cost import CostMiddleware
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.health import HealthMiddleware
from veneer.layers.operations import OperationsMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.ledger.ledger import Ledger
from veneer.ledger.postgresql import PostgresqlLedger
from veneer.ledger.sqlite import SqliteLedger
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price
from veneer.stack import Stack
from veneer.store_urls import sqlite_file
from veneer.upstream.proxy import Upstream

# Seconds that anything here may take.
PATIENCE = 60.0

BOOK = PriceBook([("*", Price(input=DOLLAR, cached_input=DOLLAR // 4, output=4 * DOLLAR))])

# What the process that others are forked from imports; what is not there is left out.
PRELOADED = [
    __name__,
    "veneer.cli.protocol",
    "veneer.stores.postgresql",
    "sqlalchemy.dialects.postgresql",
    "uvloop",
    "uvicorn.lifespan.on",
]


class Plan(msgspec.Struct, frozen=True):
    """What all processes serve alike.

    `limits` are those of keys, in the notation of budgets; a key's id is its secret. `lease` is in
    seconds, `folder` where they write what they have to say.
    """

    ledger: str
    upstream: str
    limits: Mapping[str, str]
    lease: float
    folder: str
    charge_abandoned: bool = False


class Process:
    """A process that can be killed and started anew; it ends with this one."""

    def __init__(self, plan: Plan | None = None, seed: int = 0) -> None:
        self._plan = plan
        self._seed = seed
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self._control: Connection | None = None
        self._process: ForkServerProcess | None = None

    @property
    def port(self) -> int:
        """The port that it serves on, the same every time."""
        port: int = self._listener.getsockname()[1]
        return port

    def start(self) -> None:
        """Start it; calls wait until it serves."""
        context = get_context("forkserver")
        context.set_forkserver_preload(PRELOADED)
        theirs, self._control = Pipe(duplex=False)
        run = (
            partial(_model, seed=self._seed) if self._plan is None else partial(_serve, self._plan)
        )
        self._process = context.Process(target=run, args=(self._listener, theirs))
        self._process.start()
        theirs.close()

    def kill(self) -> int:
        """Kill it, and return what its id was; raises RuntimeError where it is over already."""
        assert self._process is not None
        pid, code = self._process.pid, self._process.exitcode
        if pid is None or code is not None:
            raise RuntimeError(f"a process has ended by itself, with {code}")
        self._process.kill()
        self._end()
        return pid

    def stop(self) -> None:
        """Have it stop by itself, as far as it does; it is gone afterwards."""
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            self._process.join(PATIENCE)
            self._process.kill()
            self._end()
        self._listener.close()

    def _end(self) -> None:
        assert self._process is not None
        self._process.join(PATIENCE)
        self._process.close()
        self._process = None
        if self._control is not None:
            self._control.close()


def ledger_at(url: str, *, lease: float, charge_abandoned: bool = False) -> Ledger:
    """Return the ledger at a URL, with a lease of so many seconds."""
    scheme, _, rest = url.partition("://")
    if scheme == "sqlite":
        return SqliteLedger(sqlite_file(rest), lease=lease, charge_abandoned=charge_abandoned)
    return PostgresqlLedger(url, lease=lease, charge_abandoned=charge_abandoned)


def _model(listener: socket.socket, control: Connection, seed: int) -> None:
    modelserver.run(listener, control.fileno(), seed)


def _serve(plan: Plan, listener: socket.socket, control: Connection) -> None:
    """Serve as `veneer serve` does, but with keys that cost nothing to make, and a short lease."""
    said = os.open(Path(plan.folder) / "said", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(said, 2)
    logs.configure()
    config = parse({}, {"serve": {"drain": 0, "grace": 10}})
    upstream = Upstream(plan.upstream)
    app = HealthMiddleware(Stack(_layers(plan), upstream), ready=upstream.reachable)
    server.run(app, config, listener, control.fileno())


def _layers(plan: Plan) -> list[Middleware]:
    keys = StaticKeys(
        (digest_of(key), Principal(id=key, scopes=frozenset(["full"]), budgets={"all": limit}))
        for key, limit in plan.limits.items()
    )
    ledger = ledger_at(plan.ledger, lease=plan.lease, charge_abandoned=plan.charge_abandoned)
    budget = BudgetPolicy(None, name="all", partition="key", period="total")
    return [
        Middleware(HeadersMiddleware),
        Middleware(ErrorMiddleware),
        Middleware(AuthMiddleware, verifier=keys),
        Middleware(OperationsMiddleware),
        Middleware(CostMiddleware, prices=BOOK, ledger=ledger, budgets=[budget]),
        Middleware(RelayMiddleware),
    ]
