"""`veneer serve`: the layers in front of a model server."""

import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

from veneer.cli import logs, server
from veneer.cli.embedded import with_ledger
from veneer.cli.keys import auth_overrides
from veneer.cli.listen import base_url, listen
from veneer.cli.shared import shared_by_workers
from veneer.config import Config, build, build_upstream, load, parse
from veneer.config.auth import asks_for_keys
from veneer.config.auth_tables import AuthTable
from veneer.config.tables import AdminTable
from veneer.layers.health import HealthMiddleware
from veneer.wiring import ConfigurationError

NO_KEYS = (
    "callers need keys: make the first with `veneer keys create --store sqlite:///veneer.db --name "
    "me` and serve with --store sqlite:///veneer.db, or say --no-auth if whoever reaches the port "
    "may call."
)


def run(given: Namespace) -> int:
    """Serve until told to stop; raises `ConfigurationError` where that cannot begin."""
    config = configuration(given)
    if given.no_auth:
        config = msgspec.structs.replace(config, auth=AuthTable(), admin=AdminTable())
    elif not asks_for_keys(config.auth):
        raise ConfigurationError(NO_KEYS)
    if config.serve.workers > 1 and sys.platform == "win32":
        raise ConfigurationError("several workers need fork, which Windows has not: say 1.")
    with shared_by_workers(config) as served:
        return serve(served)


def serve(config: Config) -> int:
    """Serve a configuration until told to stop."""
    upstream = build_upstream(config)
    app = HealthMiddleware(build(config, upstream), ready=upstream.reachable)
    workers = config.serve.workers
    listener = listen(config.serve.host, config.serve.port)
    logs.configure()
    print(
        f"veneer serves {base_url(listener)} for {_served(config)}"
        + (f" in {workers} processes." if workers > 1 else "."),
        file=sys.stderr,
        flush=True,
    )
    if workers == 1:
        return server.run(app, config, listener)
    supervisor = import_module("veneer.cli.workers").Supervisor(
        lambda control: server.run(app, config, listener, control), workers
    )
    code: int = supervisor.run()
    return code


def _served(config: Config) -> str:
    """Return who answers the calls, in words."""
    names = [target.name for target in config.targets]
    return ", ".join(names) if names else str(config.upstream.url)


def configuration(given: Namespace) -> Config:
    """Return the configuration of the file, if one is named, with the flags above it."""
    flags = {
        "upstream": {"url": given.upstream, "api_key": given.api_key},
        "serve": {"host": given.host, "port": given.port, "workers": given.workers},
        "log": {"format": given.log_format},
    }
    overrides: dict[str, dict[str, Any]] = auth_overrides(given) | {
        table: {key: value for key, value in options.items() if value is not None}
        for table, options in flags.items()
    }
    if not given.config:
        return parse({}, overrides)
    path = Path(given.config)
    return with_ledger(load(path, overrides), path.absolute().parent)
