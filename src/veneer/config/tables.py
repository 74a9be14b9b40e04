"""The tables of `veneer.toml`: every option with its type, its range, its default and what it does.

The descriptions here are the only documentation of the options; the reference is made from them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.call import MAX_BODY
from veneer.config.auth_tables import AuthTable
from veneer.config.catalog_tables import CatalogTable
from veneer.config.cost_tables import BudgetTable, CostTable
from veneer.config.dialect_tables import DialectTable
from veneer.config.idempotency_tables import IdempotencyTable
from veneer.config.prices_tables import PricesTable
from veneer.config.ratelimit_tables import RateLimitTable
from veneer.config.table import FILE, Count, Seconds, Secret, Table, Wait
from veneer.layers.relay import MAX_OBSERVED
from veneer.upstream.transport import PoolLimits, Timeouts

_TIMEOUTS = Timeouts()
_LIMITS = PoolLimits()


class ServeTable(Table, frozen=True):
    """How `veneer serve` listens and stops."""

    host: Annotated[
        Annotated[str, Meta(min_length=1)],
        Meta(description="Address or name to listen on; `::` and `0.0.0.0` are every interface."),
    ] = "127.0.0.1"
    port: Annotated[
        int, Meta(ge=0, le=65535, description="Port to listen on; 0 takes one that is free.")
    ] = 8080
    workers: Annotated[
        int, Meta(ge=1, le=256, description="Processes that share the port, one core each.")
    ] = 1
    grace: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that calls under way get when we are told to stop; what is left "
            "then is ended with an error.",
        ),
    ] = 30.0
    drain: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds from `/readyz` saying no until we stop listening, for load "
            "balancers to notice.",
        ),
    ] = 0.0
    keepalive: Annotated[
        Count,
        Meta(
            description="Seconds that an idle client connection stays open; more than a load "
            "balancer in front keeps its own."
        ),
    ] = 75
    header_timeout: Annotated[
        Seconds,
        Meta(description="Seconds in which the header of a request must arrive whole, else 408."),
    ] = 30.0
    max_header: Annotated[
        int,
        Meta(ge=1024, description="Bytes that the header of a request may have, else 431."),
    ] = 65536
    max_url: Annotated[
        int, Meta(ge=256, description="Bytes that the URL of a request may have, else 414.")
    ] = 8192


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


class HeadersTable(Table, frozen=True):
    """What every response is stamped with (`HeadersMiddleware`)."""

    client_ids: Annotated[
        bool,
        Meta(description="Log and echo the `X-Client-Request-Id` that a client sends."),
    ] = False
    server_timing: Annotated[
        bool, Meta(description="Add `Server-Timing`: the time here, and the upstream's part of it.")
    ] = True
    cors_origins: Annotated[
        list[str],
        Meta(
            description='Origins whose scripts may call, such as `["https://chat.example.com"]`; '
            '`["*"]` for all. Empty: no CORS.'
        ),
    ] = msgspec.field(default_factory=list)


class LogTable(Table, frozen=True):
    """The line that each call leaves on standard output (`LogMiddleware`)."""

    enabled: Annotated[bool, Meta(description="Whether calls are logged.")] = True
    format: Annotated[
        Literal["text", "json"],
        Meta(description="`text`, as `key=value`, or `json`, one object a line."),
    ] = "text"


class HeartbeatTable(Table, frozen=True):
    """What keeps a silent stream alive (`HeartbeatMiddleware`)."""

    interval: Annotated[
        Seconds, Meta(description="Seconds of silence after which a comment is sent.")
    ] = 15.0
    early_start: Annotated[
        Seconds | None,
        Meta(
            description="Seconds after which a streaming call is begun with status 200 although "
            "the upstream has not answered, for clients that give up on slow headers; its errors "
            "then become error events. Left out: never."
        ),
    ] = None


class OperationsTable(Table, frozen=True):
    """What may be asked here (`OperationsMiddleware`)."""

    allow: Annotated[
        list[str],
        Meta(
            description='Operations beyond those that are accounted for, such as `["files"]`, or '
            'paths below the base such as `["/rerank"]`; what they store upstream, all callers '
            "share."
        ),
    ] = msgspec.field(default_factory=list)
    deny: Annotated[
        list[str] | None,
        Meta(
            description="Operations that are not served although others are by default, such as "
            '`["images.edits"]`, or all that begin so, as `["audio"]`. Left out: those that the '
            "dialect has not, but for what is allowed: `aurous` has no images and no audio."
        ),
    ] = None
    max_body: Annotated[Count, Meta(description="Bytes that a JSON body may have, else 413.")] = (
        MAX_BODY
    )


class RelayTable(Table, frozen=True):
    """How answers are read on their way to the client (`RelayMiddleware`)."""

    inject_usage: Annotated[
        bool,
        Meta(
            description="Ask the upstream for the usage of a stream where a layer needs it and the "
            "client did not ask; false for a server that does not know `stream_options`."
        ),
    ] = True
    max_observed: Annotated[
        Count,
        Meta(
            description="Bytes of a JSON answer up to which it is held, read for its usage and "
            "edited; a larger one passes as it is."
        ),
    ] = MAX_OBSERVED


class AdminTable(Table, frozen=True):
    """The HTTP API for keys, budgets and usage, for keys with the scope `admin`."""

    path: Annotated[
        str | None,
        Meta(
            description="Where it is served, such as `/admin`; it manages the keys of `[auth] "
            "store`, and shows what `[cost] ledger` says. Left out: nowhere."
        ),
    ] = None


class Config(Table, frozen=True):
    """The whole file; every table and every option may be left out."""

    serve: ServeTable = msgspec.field(default_factory=ServeTable)
    upstream: UpstreamTable = msgspec.field(default_factory=UpstreamTable)
    dialect: DialectTable = msgspec.field(default_factory=DialectTable)
    headers: HeadersTable = msgspec.field(default_factory=HeadersTable)
    log: LogTable = msgspec.field(default_factory=LogTable)
    heartbeat: HeartbeatTable = msgspec.field(default_factory=HeartbeatTable)
    auth: AuthTable = msgspec.field(default_factory=AuthTable)
    admin: AdminTable = msgspec.field(default_factory=AdminTable)
    operations: OperationsTable = msgspec.field(default_factory=OperationsTable)
    ratelimit: RateLimitTable = msgspec.field(default_factory=RateLimitTable)
    idempotency: IdempotencyTable = msgspec.field(default_factory=IdempotencyTable)
    catalog: CatalogTable = msgspec.field(default_factory=CatalogTable)
    prices: PricesTable = msgspec.field(default_factory=PricesTable)
    cost: CostTable = msgspec.field(default_factory=CostTable)
    budgets: list[BudgetTable] = msgspec.field(default_factory=list)
    relay: RelayTable = msgspec.field(default_factory=RelayTable)
