"""The embedded ledger: where calls are written if prices are configured, and no place for them."""

from pathlib import Path

import msgspec

from veneer.config import Config

FILE = "veneer-ledger.db"


def with_ledger(config: Config, folder: Path) -> Config:
    """Return the configuration with a ledger in this folder, if it needs one and names none."""
    prices, cost = config.prices, config.cost
    if cost.ledger is not None or not (prices.models or prices.list_prices):
        return config
    ledger = f"sqlite:///{folder.absolute() / FILE}"
    return msgspec.structs.replace(config, cost=msgspec.structs.replace(cost, ledger=ledger))
