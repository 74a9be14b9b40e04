"""Routers as they are configured: from `[router]` and `[[targets]]` to the app."""

import logging
from collections.abc import Sequence

import msgspec
from starlette.types import ASGIApp

from veneer.config.blame import blame
from veneer.config.compat import build_compat
from veneer.config.compat_tables import CompatTable
from veneer.config.prices import build_book
from veneer.config.router_tables import RouterTable, TargetTable, models_of
from veneer.config.tables import Config
from veneer.config.upstream import server, single_upstream
from veneer.config.upstream_tables import UpstreamTable
from veneer.layers.compat import CompatMiddleware
from veneer.prices.book import PriceBook
from veneer.routing.affinity import Affinity
from veneer.routing.preferences import Preferences
from veneer.routing.scores import WEIGHTS
from veneer.routing.target import Target
from veneer.upstream.fleet import Fleet
from veneer.upstream.proxy import Upstream
from veneer.upstream.router import Router
from veneer.wiring import ConfigurationError

logger = logging.getLogger("veneer.config")

# What is chosen by nothing but a price where it is said.
COSTING = ("cost", "cost-focus", "balanced")

# Options of a target that are those of the record.
_SHARED = (
    "name",
    "weight",
    "data_policy",
    "tier",
    "context_window",
    "output_cap",
    "platform",
    "own_keys",
    "max_concurrent",
    "requests_per_minute",
)


def build_upstream(config: Config) -> Upstream | Router:
    """Return what `[upstream]`, or `[router]` and `[[targets]]`, describe.

    Secrets are read here. Raises `ConfigurationError` that names the table where a value cannot be
    used.
    """
    if not config.targets:
        if msgspec.structs.replace(config.router, gateway=None) != RouterTable():
            raise ConfigurationError(
                "[router] is set, and there is nobody to choose from: give [[targets]]."
            )
        return single_upstream(config)
    if config.upstream != UpstreamTable():
        raise ConfigurationError(
            "[upstream] is set, and so are [[targets]]: make the upstream one of the targets."
        )
    router = config.router
    targets = [_target(table, number, config) for number, table in enumerate(config.targets, 1)]
    _tell_unpriced(router, targets)
    with blame("[[targets]]"):
        return Router(
            targets,
            preferences=preferences(router),
            tries=router.tries,
            try_timeout=router.try_timeout,
            whole_timeout=router.whole_timeout,
            deadline=router.deadline,
            affinity=router.affinity,
            health_interval=router.health_interval,
            allow=config.operations.allow,
        )


def preferences(table: RouterTable) -> Preferences:
    """Return what the operator says of routing, for calls that say nothing."""
    return Preferences(optimize=table.optimize, data_policy=table.data_policy)


def _tell_unpriced(router: RouterTable, targets: Sequence[Target]) -> None:
    """Warn of targets that are chosen by what they cost, which nobody says."""
    unpriced = [target.name for target in targets if target.prices is None]
    if not unpriced or (router.optimize not in COSTING and len(unpriced) == len(targets)):
        return
    if router.optimize is None or WEIGHTS[router.optimize].cost:
        logger.warning(
            "[[targets]] %s: no prices are given, so their cost counts as the average of the "
            "others: give [[targets.prices]].",
            ", ".join(map(repr, unpriced)),
        )


def _target(table: TargetTable, number: int, config: Config) -> Target:
    where = f"[[targets]] number {number} ({table.name})"
    app = _compatible(_app(table, where, config), table.compat, where)
    capabilities = table.capabilities
    with blame(where):
        return Target(
            **{name: getattr(table, name) for name in _SHARED},
            app=app,
            models=models_of(table),
            unknown_parameters=frozenset(table.unknown_parameters),
            capabilities=None if capabilities is None else frozenset(capabilities),
            prices=_prices(table, where),
        )


def _app(table: TargetTable, where: str, config: Config) -> ASGIApp:
    """Return the proxy to the one server of a target, or to its replicas."""
    given = [place for place in (table.url, table.urls, table.dns) if place is not None]
    if len(given) != 1:
        raise ConfigurationError(
            f"{where} needs one of url, urls and dns: the base URL of a model server, such as "
            "http://localhost:8000/v1, those of its replicas, or one that stands for them."
        )
    if table.dns is not None and table.transport != "h1":
        raise ConfigurationError(
            f"{where} dns needs our own transport, which connects to each address: leave out "
            "transport."
        )
    make = server(table, where, config.operations.allow, passes_credentials=False)
    if table.url is not None:
        return make(table.url)
    with blame(where):
        return Fleet(
            table.urls or given[0],
            make=make,
            name=table.name,
            affinity=Affinity() if config.router.affinity else None,
        )


def _compatible(app: ASGIApp, table: CompatTable, where: str) -> ASGIApp:
    """Return the app inside a layer of its own, where it needs more than all have."""
    if table == CompatTable():
        return app
    with blame(f"[targets.compat] of {where}"):
        return CompatMiddleware(app, **build_compat(table))


def _prices(table: TargetTable, where: str) -> PriceBook | None:
    with blame(f"[[targets.prices]] of {where}"):
        return build_book(table.prices) if table.prices else None
