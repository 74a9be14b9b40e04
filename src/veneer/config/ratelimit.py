"""Rate limits as they are configured: from `[ratelimit]` to the layers that it describes."""

from collections.abc import Sequence
from typing import Any

import msgspec

from veneer.config.blame import blame
from veneer.config.ratelimit_tables import PolicyTable, RateLimitTable
from veneer.config.store_url import MEMORY, read_store_url
from veneer.facts import Principal
from veneer.limiters.opening import open_limiter
from veneer.quotas.estimate import Estimator, bound, openai_formula
from veneer.quotas.limiter import Limiter
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.quota import REQUESTS
from veneer.wiring import ConfigurationError


def build_rate_limits(
    table: RateLimitTable, *, trusted_proxies: Sequence[str], several: bool
) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """Return the options of each layer: of that above replays, then of that below.

    One without policies is None. The store is opened when it is used; `several` is whether more
    than one process serves. Raises `ConfigurationError` that names the table where a value cannot
    be used.
    """
    policies = [_policy(index, policy) for index, policy in enumerate(table.policies)]
    names = [policy.name for policy in policies]
    for name in names:
        if names.count(name) > 1:
            raise ConfigurationError(
                f"[[ratelimit.policies]] has two that are called {name!r}: give each a name."
            )
    if not policies:
        return None, None
    options = {
        "limiter": _limiter(table, several=several),
        "estimator": _estimator(table),
        "upstream_fields": table.upstream_fields,
        "draft": table.draft,
        "trusted_proxies": trusted_proxies,
        "max_wait": table.max_wait,
        "max_waiting": table.max_waiting,
    }
    above = [policy for policy in policies if policy.unit == REQUESTS]
    below = [policy for policy in policies if policy.unit != REQUESTS]
    return (
        {**options, "policies": above} if above else None,
        {**options, "policies": below} if below else None,
    )


def check_partitions(table: RateLimitTable) -> None:
    """Refuse policies that go by who calls, for a stack in which nobody is asked."""
    for index, policy in enumerate(table.policies):
        if Principal in _policy(index, policy).reads:
            raise ConfigurationError(
                f"[[ratelimit.policies]] {_name(index, policy)}: partition is "
                f"{_shown(policy.partition)}, and callers are asked for no key: say partition = "
                '"peer", which is their address, or "all"; or have them asked for keys, by [auth] '
                "or --store, and not --no-auth."
            )


def _name(index: int, table: PolicyTable) -> str:
    return table.name or f"number {index + 1}"


def _shown(partition: str | list[str]) -> str:
    names = [partition] if isinstance(partition, str) else partition
    return " and ".join(f'"{name}"' for name in names)


def _policy(index: int, table: PolicyTable) -> QuotaPolicy:
    try:
        return QuotaPolicy(**msgspec.structs.asdict(table))
    except ValueError as error:
        raise ConfigurationError(
            f"[[ratelimit.policies]] {_name(index, table)}: {error}"
        ) from error


def _limiter(table: RateLimitTable, *, several: bool) -> Limiter:
    if table.store is None and several:
        raise ConfigurationError(
            "[ratelimit] store is not set, and several workers would each count alone: give "
            "shared:///path or redis://host."
        )
    url = MEMORY if table.store is None else read_store_url(table.store, "[ratelimit] store")
    if url == MEMORY and several:
        raise ConfigurationError(
            "[ratelimit] store is memory://, where several workers each count alone: give "
            "shared:///path or redis://host, or leave it out."
        )
    with blame("[ratelimit] store:"):
        return open_limiter(url, timeout=table.timeout)


def _estimator(table: RateLimitTable) -> Estimator:
    if table.estimate == "openai":
        return openai_formula(default_output=table.output_tokens)
    return bound(default_output=table.output_tokens)
