"""All who are compared side by side: nginx, our apps, the full stack, and the other gateways."""

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

import msgspec

from rig import full, nginx, peers
from rig.completion import Call
from rig.peers import PEERS
from rig.processes import Process, ask, free_port, python, running

# Seconds until a gateway answers for the first time; LiteLLM takes half a minute on a busy machine.
PATIENCE = 90.0
PAUSE = 0.002

FULL = "full"
LABELS: Mapping[str, str] = MappingProxyType(
    {
        "nginx": "nginx as a reverse proxy",
        "hello": "bare ASGI hello, no upstream",
        "upstream": "`Upstream` alone",
        FULL: "**the full stack**, SQLite",
        "full-log": "the full stack, SQLite, with log lines",
        "full-servers": "the full stack, Redis and PostgreSQL",
        **{name: peer.label for name, peer in PEERS.items()},
    }
)

# Without these there is no comparison; any other that fails is left out, and named.
ESSENTIAL = ("nginx", FULL)


class Served(msgspec.Struct):
    """Who is compared: where it listens, how it is called, and its process.

    `started` is how many seconds it took from its command to its first answer.
    """

    origin: str
    call: Call
    process: Process
    started: float


def missing(name: str) -> str | None:
    """Return what to say of one that cannot be run here."""
    if name in PEERS:
        return peers.missing(name)
    if name == "nginx":
        return nginx.missing()
    reason = full.servers_missing() if name == "full-servers" else None
    return None if reason is None else f"{LABELS[name]}: {reason}"


def present(names: Iterable[str], skipped: list[str]) -> list[str]:
    """Return those of them that can be run here; why the others cannot is added to `skipped`."""
    reasons = {name: missing(name) for name in names}
    skipped += [reason for reason in reasons.values() if reason is not None]
    return [name for name, reason in reasons.items() if reason is None]


@contextmanager
def served(
    name: str, origin: str, cpus: set[int] | None, *, streams: bool = False, workers: int = 1
) -> Iterator[Served]:
    """Run one of them before an origin, from when it answers on.

    Before an origin that `streams`, it is asked for one token, and nginx does not buffer. Only the
    full stack has several `workers`.
    """
    with _prepared(name, origin, workers) as config:
        began = time.monotonic()
        with _running(name, origin, cpus, config, streams=streams) as (where, call, process):
            _until_answering(where, call, process, streams=streams)
            yield Served(where, call, process, time.monotonic() - began)


@contextmanager
def _prepared(name: str, origin: str, workers: int) -> Iterator[Path | None]:
    """Give the configuration of a full stack; None for the others, which need no preparation."""
    if not name.startswith(FULL):
        yield None
        return
    with (
        full.in_servers() if name == "full-servers" else full.in_files() as stores,
        full.configured(origin, stores, log=name == "full-log", workers=workers) as given,
    ):
        yield given.config


@contextmanager
def _running(
    name: str, origin: str, cpus: set[int] | None, config: Path | None, *, streams: bool
) -> Iterator[tuple[str, Call, Process]]:
    """Start one of them; gives its origin, how it is called, and its process."""
    if name in PEERS:
        with peers.peer(name, origin, cpus) as found:
            yield found
    elif name == "nginx":
        with nginx.proxying(origin, cpus, buffering=not streams) as (where, process):
            yield where, Call(), process
    else:
        port = str(free_port())
        if config is None:
            command = python("rig.proxies", name, origin, port)
        else:
            command = python("veneer", "serve", "--config", str(config), "--port", port)
        with running(command, cpus) as process:
            yield f"http://127.0.0.1:{port}", Call(), process


def _until_answering(origin: str, call: Call, process: Process, *, streams: bool) -> None:
    """Ask until an answer comes; raises RuntimeError where none does."""
    body = call.body(stream=True, max_tokens=1) if streams else call.body()
    give_up = time.monotonic() + PATIENCE
    while time.monotonic() < give_up and process.poll() is None:
        try:
            status, _ = ask(origin + call.path, body, headers=call.headers)
        except OSError:
            status = HTTPStatus.SERVICE_UNAVAILABLE
        if status == HTTPStatus.OK:
            return
        time.sleep(PAUSE)
    raise RuntimeError(f"{process.args!r} does not answer")
