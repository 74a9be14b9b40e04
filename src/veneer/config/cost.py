"""Costs as they are configured: from `[prices]`, `[cost]` and `[[budgets]]` to their layer."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.webhook import ThresholdWebhook
from veneer.config.blame import blame
from veneer.config.cost_tables import BudgetTable, CostTable
from veneer.config.prices import build_prices
from veneer.config.secret import read_secret
from veneer.config.store_url import MEMORY, read_store_url
from veneer.config.tables import Config
from veneer.facts import Principal
from veneer.ledger.ledger import Ledger
from veneer.ledger.opening import open_ledger
from veneer.store_urls import sqlite_file
from veneer.wiring import ConfigurationError


def build_cost(config: Config, *, has_keys: bool) -> dict[str, Any] | None:
    """Return the options of the layer, None where nothing has a price; its ledger opens when used.

    `has_keys` is whether callers are asked who they are. Raises `ConfigurationError` that names the
    table where a value cannot be used.
    """
    table, budgets = config.cost, config.budgets
    pricing = build_prices(config.prices)
    if pricing is None:
        unused = _set(table, budgets)
        if unused is not None:
            raise ConfigurationError(
                f"{unused} is set, and nothing has a price: give [[prices.models]], or say "
                "list_prices = true in [prices]."
            )
        return None
    policies = build_policies(config)
    if not has_keys:
        _check_partitions(budgets, policies)
    return {
        "prices": pricing.book,
        "credits": pricing.credits,
        "unpriced": config.prices.unpriced,
        "own_keys": config.own_keys.calls,
        "providers": [target.name for target in config.targets],
        "budgets": policies,
        "ledger": _ledger(table, several=config.serve.workers > 1),
        "receipts": table.receipts,
        "factor": table.factor,
        "default_output": table.output_tokens,
        "overrun": table.overrun,
        "on_failure": table.on_failure,
        "spool": _spool(table),
        "max_spool": table.max_spool,
        "on_threshold": _webhook(table, budgets),
        "trusted_proxies": config.auth.trusted_proxies,
    }


def build_policies(config: Config) -> list[BudgetPolicy]:
    """Return the budgets that `[[budgets]]` describes; raises as `build_cost` does."""
    return [_policy(number, budget) for number, budget in enumerate(config.budgets, 1)]


def build_balance(cost: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return the options of the layer that tells of budgets, None where there are none to tell of.

    `cost` are those of the layer that charges calls, with which it shares its ledger.
    """
    if cost is None or not cost["budgets"]:
        return None
    return {name: cost[name] for name in ("ledger", "budgets", "credits", "trusted_proxies")}


def _set(table: CostTable, budgets: Sequence[BudgetTable]) -> str | None:
    """Return an option that is set and is of no use without prices."""
    if budgets:
        return "[[budgets]]"
    if table.ledger is not None:
        return "[cost] ledger"
    return None if table.webhook is None else "[cost] webhook"


def _webhook(table: CostTable, budgets: Sequence[BudgetTable]) -> ThresholdWebhook | None:
    if table.webhook is None:
        if table.webhook_secret is not None:
            raise ConfigurationError(
                "[cost] webhook_secret is set, and there is nothing that it would sign: give "
                "webhook the URL that is told, or leave it out."
            )
        return None
    if not any(budget.soft for budget in budgets):
        raise ConfigurationError(
            "[cost] webhook is set, and no budget has a threshold to tell of: give one of "
            "[[budgets]] soft = [0.8], or leave it out."
        )
    url = read_store_url(table.webhook, "[cost] webhook")
    secret = table.webhook_secret
    if secret is not None:
        secret = read_secret(secret, "[cost] webhook_secret")
    with blame("[cost] webhook:"):
        return ThresholdWebhook(url, secret)


def _policy(number: int, table: BudgetTable) -> BudgetPolicy:
    options = msgspec.structs.asdict(table)
    with blame(f"[[budgets]] {_name(number, table)}:"):
        return BudgetPolicy(options.pop("limit"), **options)


def _check_partitions(budgets: Sequence[BudgetTable], policies: Sequence[BudgetPolicy]) -> None:
    """Refuse budgets that go by who calls, for a stack in which nobody is asked."""
    for number, (table, policy) in enumerate(zip(budgets, policies, strict=True), 1):
        if Principal in policy.reads:
            raise ConfigurationError(
                f"[[budgets]] {_name(number, table)}: partition is {table.partition!r}, and "
                'callers are asked for no key: say partition = "peer", which is their address, or '
                '"all"; or have them asked for keys, by [auth] or --store, and not --no-auth.'
            )


def _name(number: int, table: BudgetTable) -> str:
    return table.name or f"number {number}"


def _ledger(table: CostTable, *, several: bool) -> Ledger:
    url = MEMORY if table.ledger is None else read_store_url(table.ledger, "[cost] ledger")
    if url == MEMORY and several:
        raise ConfigurationError(
            "[cost] ledger: in memory, several workers would each count alone, and forget what was "
            "spent: give sqlite:///file.db, or postgresql://host/database."
        )
    with blame("[cost] ledger:"):
        return open_ledger(url)


def _spool(table: CostTable) -> str | None:
    """Return the folder where calls wait while the ledger is away, None for its queue in memory."""
    if table.spool is not None or table.ledger is None:
        return table.spool
    url = read_store_url(table.ledger, "[cost] ledger")
    if url == MEMORY:
        return None
    is_open = table.on_failure == "open"
    scheme, _, location = url.partition("://")
    if scheme == "sqlite":
        beside = Path(f"{sqlite_file(location)}-spool")
        # What is left from when calls were made all the same is not forgotten.
        return str(beside) if is_open or beside.is_dir() else None
    if is_open:
        raise ConfigurationError(
            '[cost] on_failure is "open", and nothing says where calls wait while the ledger is '
            'away: give spool = "folder", on a disk of this machine.'
        )
    return None
