"""`veneer serve`: the layers in front of a model server."""

import sys
from argparse import Namespace
from importlib import import_module
from pathlib import Path
from typing import Any

from veneer.cli import logs, server
from veneer.cli.listen import base_url, is_loopback, listen
from veneer.config import Config, build, build_upstream, load, parse
from veneer.layers.health import HealthMiddleware
from veneer.wiring import ConfigurationError


def run(given: Namespace) -> int:
    """Serve until told to stop; raises `ConfigurationError` where that cannot begin."""
    config = configuration(given)
    if not (given.no_auth or is_loopback(config.serve.host)):
        raise ConfigurationError(
            f"there are no keys for callers yet, so whoever reaches {config.serve.host} could "
            "call: listen on 127.0.0.1, or say --no-auth if that is meant."
        )
    upstream = build_upstream(config)
    app = HealthMiddleware(build(config, upstream), ready=upstream.reachable)
    workers = config.serve.workers
    if workers > 1 and sys.platform == "win32":
        raise ConfigurationError("several workers need fork, which Windows has not: say 1.")
    listener = listen(config.serve.host, config.serve.port)
    logs.configure()
    print(
        f"veneer serves {base_url(listener)} for {config.upstream.url}"
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


def configuration(given: Namespace) -> Config:
    """Return the configuration of the file, if one is named, with the flags above it."""
    flags = {
        "upstream": {"url": given.upstream, "api_key": given.api_key},
        "serve": {"host": given.host, "port": given.port, "workers": given.workers},
        "log": {"format": given.log_format},
    }
    overrides: dict[str, dict[str, Any]] = {
        table: {key: value for key, value in options.items() if value is not None}
        for table, options in flags.items()
    }
    return load(Path(given.config), overrides) if given.config else parse({}, overrides)
