"""The tables of `veneer.toml` that say where calls go, and how."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.config.table import FILE, Count, Secret, Table, Wait
from veneer.upstream.transport import PoolLimits, Timeouts

_TIMEOUTS = Timeouts()
_LIMITS = PoolLimits()


class TimeoutsTable(Table, frozen=True):
    """How long each wait on the upstream may last, in seconds; `inf` waits for ever."""

    connect: Annotated[Wait, Meta(description="For TCP and TLS to be set up.")] = (
        _TIMEOUTS.connect or float("inf")
    )
    write: Annotated[
        Wait, Meta(description="Without the upstream taking a byte of the request.")
    ] = _TIMEOUTS.write or float("inf")
    response_header: Annotated[
        Wait, Meta(description="From the whole request to the header of the response.")
    ] = _TIMEOUTS.response_header or float("inf")
    read: Annotated[
        Wait, Meta(description="Without a byte of the response's body while it is waited for.")
    ] = _TIMEOUTS.read or float("inf")
    pool: Annotated[Wait, Meta(description="For one of the connections to come free.")] = (
        _TIMEOUTS.pool or float("inf")
    )


class LimitsTable(Table, frozen=True):
    """How many connections to the upstream there may be, in each worker."""

    max_connections: Annotated[Count, Meta(description="Connections open at once.")] = (
        _LIMITS.max_connections
    )
    max_waiting: Annotated[
        int, Meta(ge=0, description="Calls that may wait for one; those beyond get 503 at once.")
    ] = _LIMITS.max_waiting
    max_idle: Annotated[int, Meta(ge=0, description="Connections kept while nobody uses them.")] = (
        _LIMITS.max_idle
    )
    keepalive_expiry: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that one is kept so; an upstream's own `Keep-Alive: timeout` "
            "shortens it.",
        ),
    ] = _LIMITS.keepalive_expiry


class UpstreamTable(Table, frozen=True):
    """The model server behind the stack."""

    url: Annotated[
        str | None,
        Meta(
            description="Base URL that clients of the server would use, such as "
            "`http://localhost:8000/v1`."
        ),
    ] = None
    api_key: Annotated[
        Secret | Annotated[list[Secret], Meta(min_length=1)] | None,
        Meta(
            description="Key that the server is shown in place of whatever the client sent: "
            "`env:NAME` or `file:PATH`; of several, each takes its turn. Without one, the client's "
            "own goes through, unless `[auth]` asks for keys of its own.",
        ),
    ] = None
    api_key_header: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")],
        Meta(
            description="Field that the key stands in: in `Authorization` as a Bearer token, bare "
            "in any other, such as `api-key`."
        ),
    ] = "Authorization"
    name: Annotated[
        Annotated[str, Meta(min_length=1)], Meta(description="What the log calls this server.")
    ] = "upstream"
    ca_file: Annotated[
        Annotated[str, Meta(extra={FILE: True})] | None,
        Meta(
            description="PEM file of the only authorities whose certificates are trusted; without "
            "it, those of the system."
        ),
    ] = None
    transport: Annotated[
        Literal["h1", "httpx"],
        Meta(
            description="Who carries the requests: `h1`, our own HTTP/1.1, or `httpx`, much "
            "slower, which knows `HTTPS_PROXY` and its like."
        ),
    ] = "h1"
    timeouts: TimeoutsTable = msgspec.field(default_factory=TimeoutsTable)
    limits: LimitsTable = msgspec.field(default_factory=LimitsTable)
