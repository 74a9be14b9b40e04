"""Building: from `Config` to the stack that it describes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from starlette.middleware import Middleware
from starlette.types import ASGIApp

from veneer.auth.verifier import Verifier
from veneer.config.admin import build_admin
from veneer.config.auth import build_verifier, open_access
from veneer.config.blame import blame
from veneer.config.catalog import build_catalog, names_in
from veneer.config.compat import build_compat, build_embeddings, build_estimate
from veneer.config.completions import build_completions
from veneer.config.cost import build_balance, build_cost
from veneer.config.dialect import build_dialect
from veneer.config.idempotency import build_idempotency
from veneer.config.legacy import build_legacy
from veneer.config.operations import build_operations, public_paths
from veneer.config.own_keys import build_own_keys
from veneer.config.ratelimit import build_rate_limits, check_partitions
from veneer.config.router import build_upstream, preferences
from veneer.config.tables import Config
from veneer.dialects import Dialect
from veneer.layers.admin import AdminMiddleware
from veneer.layers.auth import AuthMiddleware
from veneer.layers.balance import PATH as BALANCE
from veneer.layers.balance import BalanceMiddleware
from veneer.layers.compat import CompatMiddleware
from veneer.layers.completions import STORED, CompletionsMiddleware
from veneer.layers.cost import CostMiddleware
from veneer.layers.embeddings import EmbeddingsMiddleware
from veneer.layers.errors import ErrorMiddleware
from veneer.layers.estimate import EstimateMiddleware
from veneer.layers.headers import HeadersMiddleware
from veneer.layers.heartbeat import HeartbeatMiddleware
from veneer.layers.idempotency import IdempotencyMiddleware
from veneer.layers.legacy import LegacyMiddleware
from veneer.layers.log import LogMiddleware
from veneer.layers.me import PATH as ME
from veneer.layers.me import TEAM, MeMiddleware
from veneer.layers.models import ModelsMiddleware
from veneer.layers.operations import OperationsMiddleware
from veneer.layers.own_keys import OwnKeysMiddleware
from veneer.layers.ratelimit import RateLimitMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.layers.routing import RoutingMiddleware
from veneer.stack import Stack

# The options of the layer that charges calls, None where nothing has a price.
Costing = Mapping[str, Any] | None


def build(config: Config, app: ASGIApp | None = None, *, verifier: Verifier | None = None) -> Stack:
    """Return the stack that a configuration describes, around `app` or else its upstream.

    `verifier` stands in for what `[auth]` says of keys; without either, nobody is asked for one.
    Secrets are read here. Raises `ConfigurationError` that names the table where a value cannot be
    used.
    """
    below = build_upstream(config) if app is None else app
    if verifier is not None:
        return Stack(layers(config, verifier=verifier), below)
    access = open_access(config.auth)
    verifier = build_verifier(config.auth, access)
    if verifier is None:
        check_partitions(config.ratelimit)
    admin = None if config.admin.path is None else partial(build_admin, config, access)
    return Stack(layers(config, verifier=verifier, admin=admin), below)


def layers(
    config: Config,
    *,
    verifier: Verifier | None = None,
    admin: Callable[[Costing], ASGIApp] | None = None,
) -> list[Middleware]:
    """Return the layers in their order, outermost first.

    With a verifier, keys are asked for. `admin` makes the API that is served at the path that
    `[admin]` says, from the options of the layer that charges calls.
    """
    headers, heartbeat = config.headers, config.heartbeat
    path, dialect = config.admin.path, build_dialect(config.dialect)
    cost = build_cost(config, has_keys=verifier is not None)
    found = [
        _layer(
            "headers",
            HeadersMiddleware,
            dialect=dialect,
            client_ids=headers.client_ids,
            server_timing=headers.server_timing,
            cors_origins=headers.cors_origins,
        )
    ]
    if config.log.enabled:
        found.append(_layer("log", LogMiddleware, format=config.log.format))
    found += [
        _layer(
            "heartbeat",
            HeartbeatMiddleware,
            interval=heartbeat.interval,
            early_start=heartbeat.early_start,
        ),
        _layer("errors", ErrorMiddleware),
    ]
    if config.dialect.legacy:
        moved = build_legacy(config.dialect.legacy)
        found.append(_layer("dialect", LegacyMiddleware, routes=moved))
    if verifier is not None:
        found.append(
            _layer(
                "auth",
                AuthMiddleware,
                verifier=verifier,
                credentials=config.auth.credentials,
                public=[*config.auth.public, *public_paths(dialect)],
                trusted_proxies=config.auth.trusted_proxies,
                admin=() if path is None else (path, f"{path}/*"),
            )
        )
    if admin is not None and path is not None:
        found.append(_layer("admin", AdminMiddleware, api=admin(cost), path=path))
    return [
        *found,
        *_calls(config, dialect, cost, has_keys=verifier is not None),
        _layer(
            "relay",
            RelayMiddleware,
            inject_usage=config.relay.inject_usage,
            max_observed=config.relay.max_observed,
        ),
        _layer("embeddings", EmbeddingsMiddleware, **build_embeddings(config.embeddings)),
        _layer("compat", CompatMiddleware, **build_compat(config.compat)),
    ]


def _calls(
    config: Config, dialect: Dialect, cost: Costing, *, has_keys: bool
) -> Iterator[Middleware]:
    """Yield the layers that count and answer, from what a request costs to what a call does."""
    several = config.serve.workers > 1
    above, below = build_rate_limits(
        config.ratelimit, trusted_proxies=config.auth.trusted_proxies, several=several
    )
    keys = build_idempotency(config.idempotency, dialect, has_keys=has_keys, several=several)
    kept = build_completions(config, dialect, cost, has_keys=has_keys)
    # What is served of completions is ours: the upstream itself goes by what is allowed.
    stored = [] if kept is None else [STORED]
    yield from _gate(config, dialect, cost, above, stored, has_keys=has_keys)
    if keys is not None:
        yield _layer("idempotency", IdempotencyMiddleware, **keys)
    if kept is not None:
        yield _layer("completions", CompletionsMiddleware, **kept)
    yield from _routing(config, dialect)
    yield from _models(config, dialect, cost, has_keys=has_keys)
    if below is not None:
        yield _layer("ratelimit", RateLimitMiddleware, **below)
    own_keys = build_own_keys(config.own_keys, config.targets, has_keys=has_keys)
    if own_keys is not None:
        yield _layer("own_keys", OwnKeysMiddleware, **own_keys)
    if cost is not None:
        yield _layer("cost", CostMiddleware, **cost)


def _gate(  # noqa: PLR0913 - what the layers of one place are made from
    config: Config,
    dialect: Dialect,
    cost: Costing,
    limits: Mapping[str, Any] | None,
    stored: Sequence[str],
    *,
    has_keys: bool,
) -> Iterator[Middleware]:
    """Yield the limits on requests, what answers by itself, and the gate.

    A request that it refuses has cost a request; what is replayed below it costs no tokens, no slot
    and no money.
    """
    allow = config.operations.allow
    balance = build_balance(cost)
    # An upstream may have an answer of its own.
    tells_me, tells_team = has_keys and ME not in allow, TEAM not in allow
    if limits is not None:
        # To ask for the balance, or who one is, is a request, too.
        asked = [*([ME, TEAM] if tells_me else []), *([] if balance is None else [BALANCE])]
        counted, max_body = [*allow, *asked, *stored], config.operations.max_body
        yield _layer("ratelimit", RateLimitMiddleware, **limits, allow=counted, max_body=max_body)
    if balance is not None:
        yield _layer("budgets", BalanceMiddleware, **balance)
    if tells_me:
        yield _layer("budgets", MeMiddleware, **(balance or {}), team=tells_team)
    served = build_operations(config.operations, dialect)
    served["allow"] = [*served["allow"], *stored]
    yield _layer("operations", OperationsMiddleware, **served)


def _models(
    config: Config, dialect: Dialect, cost: Costing, *, has_keys: bool
) -> Iterator[Middleware]:
    """Yield the layers that know the models, and what they cost before they are called."""
    catalog = build_catalog(config.catalog, has_keys=has_keys, targets=config.targets)
    if catalog is not None:
        shown = {} if cost is None else {name: cost[name] for name in ("prices", "credits")}
        max_body = config.operations.max_body
        yield _layer("catalog", ModelsMiddleware, max_body=max_body, **catalog, **shown)
    if dialect.estimate is not None:
        told = build_estimate(config.embeddings, config.prices, cost)
        yield _layer("embeddings", EstimateMiddleware, **told)


def _routing(config: Config, dialect: Dialect) -> Iterator[Middleware]:
    """Yield the layer that reads how calls are to be routed, where they may say that."""
    gateway = config.router.gateway
    if dialect.gateway if gateway is None else gateway:
        yield _layer(
            "router",
            RoutingMiddleware,
            preferences=preferences(config.router),
            gateway=gateway,
            names=names_in(config.catalog),
            max_body=config.operations.max_body,
        )


def _layer(table: str, cls: Callable[..., ASGIApp], **options: Any) -> Middleware:
    """Return the record of a layer whose refusals begin with the table that they are about."""

    def make(app: ASGIApp) -> ASGIApp:
        with blame(f"[{table}]"):
            return cls(app, **options)

    return Middleware(make)
