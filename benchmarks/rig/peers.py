"""Other gateways, where they are installed: how each is started, and how it wants to be called.

Each has an environment of its own in the folder that `VENEER_PEERS` names, outside the repository:
`litellm`, `ferrogw`, `tensorzero` and `vllm-router` of Python, `portkey` of npm.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from types import MappingProxyType
from urllib.parse import urlsplit

import msgspec

from rig.completion import CLIENT_KEY, MODEL, PATH, Call
from rig.processes import HOME, Process, free_port, running

VARIABLE = "VENEER_PEERS"

# Events a second over all streams that none falls behind at; 10,000 for those of which it is known.
SLOW = 500.0
FAST = 10_000.0


class Launch(msgspec.Struct):
    """How to start one that listens on `port`, or says where it does in a line of its own."""

    command: list[str | Path]
    port: int | None
    call: Call = Call()
    env: dict[str, str] = {}


class Peer(msgspec.Struct, frozen=True):
    """A gateway: what it is, its program below `VENEER_PEERS`, and what starts it.

    `launch` takes that program, a folder for its files, and the origin behind it. `rate` is the
    events a second that it is given over all its streams.
    """

    label: str
    program: str
    launch: Callable[[Path, Path, str], Launch]
    rate: float = FAST


def missing(name: str) -> str | None:
    """Return what to say of one that is not installed."""
    label = PEERS[name].label
    if VARIABLE not in os.environ:
        return f"{label}: {VARIABLE} does not name the folder of other gateways"
    if not program(name).exists():
        return f"{label} is not installed in {VARIABLE}"
    if name == "portkey" and which("node") is None:
        return f"{label}: node is not on PATH"
    return None


def program(name: str) -> Path:
    """Return where its program is."""
    return Path(os.environ[VARIABLE], name, PEERS[name].program)


@contextmanager
def peer(name: str, origin: str, cpus: set[int] | None) -> Iterator[tuple[str, Call, Process]]:
    """Run one before an origin; gives its own origin, how to call it, and its process.

    It may not listen yet. Its output goes nowhere, and it sees nothing of our environment for
    Python.
    """
    with TemporaryDirectory(prefix="veneer-benchmark-") as home:
        launch = PEERS[name].launch(program(name), Path(home), origin)
        env = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        says_where = launch.port is None
        with running(launch.command, cpus, piped=says_where, env=env | launch.env) as process:
            where = _told(process) if says_where else f"http://127.0.0.1:{launch.port}"
            yield where, launch.call, process


def _told(process: Process) -> str:
    """Return where it says that it listens, among what else it says."""
    if process.stdout is None:
        raise ValueError("the output is not piped")
    for line in process.stdout:
        if line.startswith(b"http://"):
            return f"http://{urlsplit(line.decode().strip()).netloc}"
    raise RuntimeError(f"{process.args!r} does not say where it listens")


def _litellm(path: Path, home: Path, origin: str) -> Launch:
    config, port = home / "config.yaml", free_port()
    params = {"model": f"openai/{MODEL}", "api_base": f"{origin}/v1", "api_key": "sk-benchmark"}
    settings = {
        "model_list": [{"model_name": MODEL, "litellm_params": params}],
        "general_settings": {"master_key": CLIENT_KEY},
    }
    # JSON is YAML, too.
    config.write_text(json.dumps(settings))
    command: list[str | Path] = [
        path,
        "--config",
        config,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    quiet = {"LITELLM_LOG": "ERROR", "LITELLM_TELEMETRY": "False", "LITELLM_MODE": "PRODUCTION"}
    return Launch([*command, "--num_workers", "1"], port, env=quiet)


def _portkey(path: Path, _: Path, origin: str) -> Launch:
    port = free_port()
    headers = {
        "authorization": f"Bearer {CLIENT_KEY}",
        "x-portkey-provider": "openai",
        "x-portkey-custom-host": f"{origin}/v1",
    }
    command: list[str | Path] = ["node", path, f"--port={port}", "--headless"]
    return Launch(command, port, Call(headers=headers), {"NODE_ENV": "production"})


def _ferrogw(path: Path, home: Path, origin: str) -> Launch:
    config, port = home / "config.yaml", free_port()
    config.write_text(
        json.dumps({"strategy": {"mode": "single"}, "targets": [{"virtual_key": "openai"}]})
    )
    env = {
        "GATEWAY_CONFIG": str(config),
        "OPENAI_BASE_URL": origin,
        "OPENAI_API_KEY": "sk-benchmark",
        "MASTER_KEY": CLIENT_KEY,
        "PORT": str(port),
        "RATE_LIMIT_RPS": "0",
        "LOG_LEVEL": "error",
    }
    # It serves no model that it does not know.
    return Launch([path], port, Call(model="gpt-4o-mini"), env)


def _tensorzero(path: Path, home: Path, origin: str) -> Launch:
    config = home / "tensorzero.toml"
    config.write_text(
        f"""\
[gateway]
observability.enabled = false
[models."{MODEL}"]
routing = ["upstream"]
[models."{MODEL}".providers.upstream]
type = "openai"
model_name = "{MODEL}"
api_base = "{origin}/v1/"
api_key_location = "none"
"""
    )
    call = Call(path=f"/openai{PATH}", model=f"tensorzero::model_name::{MODEL}", headers={})
    return Launch([path, HOME / "rig" / "tensorzero_gateway.py", config], None, call)


def _vllm_router(path: Path, _: Path, origin: str) -> Launch:
    port = free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--prometheus-port", str(free_port())]
    command: list[str | Path] = [path, "--worker-urls", origin, "--policy", "round_robin", *where]
    return Launch([*command, "--log-level", "error"], port, Call(headers={}))


PEERS: Mapping[str, Peer] = MappingProxyType(
    {
        "vllm-router": Peer("vllm-router 0.1.17 (Rust, thin)", "bin/vllm-router", _vllm_router),
        "ferrogw": Peer("ferrogw 1.5.10 (Go), limits off", "bin/ferrogw", _ferrogw),
        "tensorzero": Peer(
            "TensorZero 2026.6.0 (Rust), observability off", "bin/python", _tensorzero
        ),
        "portkey": Peer(
            "Portkey 1.15.2 (Node)",
            "node_modules/@portkey-ai/gateway/build/start-server.js",
            _portkey,
            rate=2000.0,
        ),
        "litellm": Peer(
            "LiteLLM 1.106.2 (Python), no database", "bin/litellm", _litellm, rate=SLOW
        ),
    }
)
