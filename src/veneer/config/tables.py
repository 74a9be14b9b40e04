"""The tables of `veneer.toml`: every option with its type, its range, its default and what it does.

The descriptions here are the only documentation of the options; the reference is made from them.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.call import MAX_BODY
from veneer.config.auth_tables import AuthTable
from veneer.config.catalog_tables import CatalogTable
from veneer.config.compat_tables import CompatTable, EmbeddingsTable
from veneer.config.completions_tables import CompletionsTable
from veneer.config.cost_tables import BudgetTable, CostTable
from veneer.config.dialect_tables import DialectTable
from veneer.config.idempotency_tables import IdempotencyTable
from veneer.config.prices_tables import PricesTable
from veneer.config.ratelimit_tables import RateLimitTable
from veneer.config.router_tables import OwnKeysTable, RouterTable, TargetTable
from veneer.config.table import Count, Seconds, Table
from veneer.config.upstream_tables import UpstreamTable
from veneer.layers.relay import MAX_OBSERVED


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
    router: RouterTable = msgspec.field(default_factory=RouterTable)
    targets: list[TargetTable] = msgspec.field(default_factory=list)
    own_keys: OwnKeysTable = msgspec.field(default_factory=OwnKeysTable)
    dialect: DialectTable = msgspec.field(default_factory=DialectTable)
    headers: HeadersTable = msgspec.field(default_factory=HeadersTable)
    log: LogTable = msgspec.field(default_factory=LogTable)
    heartbeat: HeartbeatTable = msgspec.field(default_factory=HeartbeatTable)
    auth: AuthTable = msgspec.field(default_factory=AuthTable)
    admin: AdminTable = msgspec.field(default_factory=AdminTable)
    operations: OperationsTable = msgspec.field(default_factory=OperationsTable)
    ratelimit: RateLimitTable = msgspec.field(default_factory=RateLimitTable)
    idempotency: IdempotencyTable = msgspec.field(default_factory=IdempotencyTable)
    completions: CompletionsTable = msgspec.field(default_factory=CompletionsTable)
    catalog: CatalogTable = msgspec.field(default_factory=CatalogTable)
    prices: PricesTable = msgspec.field(default_factory=PricesTable)
    cost: CostTable = msgspec.field(default_factory=CostTable)
    budgets: list[BudgetTable] = msgspec.field(default_factory=list)
    relay: RelayTable = msgspec.field(default_factory=RelayTable)
    embeddings: EmbeddingsTable = msgspec.field(default_factory=EmbeddingsTable)
    compat: CompatTable = msgspec.field(default_factory=CompatTable)
