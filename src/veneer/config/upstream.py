"""Upstreams as they are configured: from `[upstream]`, or one of `[[targets]]`, to the proxy."""

import math
from collections.abc import Callable, Sequence
from importlib import import_module
from ssl import SSLContext
from typing import Any

import msgspec

from veneer.config.blame import blame
from veneer.config.secret import read_secret
from veneer.config.tables import Config
from veneer.config.upstream_tables import TimeoutsTable, UpstreamTable
from veneer.upstream.proxy import Upstream
from veneer.upstream.tls import client_context
from veneer.upstream.transport import PoolLimits, Timeouts
from veneer.wiring import ConfigurationError


def single_upstream(config: Config) -> Upstream:
    """Return the proxy that `[upstream]` describes.

    Raises `ConfigurationError` that names the table where a value cannot be used.
    """
    table = config.upstream
    if table.url is None:
        raise ConfigurationError(
            "[upstream] url is not set: give the base URL of a model server, such as "
            "http://localhost:8000/v1."
        )
    return server(table, "[upstream]", config.operations.allow, passes_credentials=True)(table.url)


def server(
    table: UpstreamTable, where: str, allow: Sequence[str], *, passes_credentials: bool
) -> Callable[..., Upstream]:
    """Return what makes the proxy to a URL (and `address`), by a table that is called `where`.

    Secrets are read here. Raises `ConfigurationError`, and so does what is returned.
    """
    keys = _api_keys(table, where)
    own = table.transport == "h1"
    with blame(where):
        context = None if table.ca_file is None else client_context(table.ca_file)

    def make(url: str, *, address: str | None = None) -> Upstream:
        with blame(where):
            return Upstream(
                url,
                api_key=keys,
                api_key_header=table.api_key_header,
                passes_credentials=passes_credentials,
                name=table.name,
                allow=allow,
                timeouts=_timeouts(table.timeouts),
                limits=PoolLimits(**msgspec.structs.asdict(table.limits)),
                ssl_context=context if own else None,
                address=address,
                client=None if own else _httpx_client(table, context),
                close_client=True,
            )

    return make


def _api_keys(table: UpstreamTable, where: str) -> list[str] | None:
    if table.api_key is None:
        return None
    references = [table.api_key] if isinstance(table.api_key, str) else table.api_key
    return [read_secret(reference, f"{where} api_key") for reference in references]


def _timeouts(table: TimeoutsTable) -> Timeouts:
    return Timeouts(
        **{
            name: None if math.isinf(seconds) else seconds
            for name, seconds in msgspec.structs.asdict(table).items()
        }
    )


def _httpx_client(table: UpstreamTable, context: SSLContext | None) -> Any:
    # Two thirds of a second's start-up, for the few who ask for it.
    httpx = import_module("httpx")
    return httpx.AsyncClient(
        verify=True if context is None else context,
        limits=httpx.Limits(
            max_connections=table.limits.max_connections,
            max_keepalive_connections=table.limits.max_idle,
            keepalive_expiry=table.limits.keepalive_expiry,
        ),
    )
