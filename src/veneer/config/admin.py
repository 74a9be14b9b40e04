"""The admin API as it is configured: of the keys in a store, and of what is written in a ledger."""

from collections.abc import Mapping
from typing import Any

from veneer.admin import AdminApi, AdminApis, AdminBudgets, AdminKeys
from veneer.books.books import Books
from veneer.books.memory import MemoryBooks
from veneer.books.opening import open_books
from veneer.config.auth import StoreAccess
from veneer.config.blame import blame
from veneer.config.store_url import MEMORY, read_store_url
from veneer.config.tables import Config
from veneer.keys.issuer import Issuer
from veneer.ledger.ledger import Ledger
from veneer.ledger.memory import MemoryLedger
from veneer.wiring import ConfigurationError

# Seconds that a question to the books may take: a million calls are added up in two or so.
TIMEOUT = 10.0


def build_admin(
    config: Config, access: StoreAccess | None, cost: Mapping[str, Any] | None
) -> AdminApi:
    """Return the API that manages the keys of a store, and what calls cost, where they do.

    `cost` are the options of the layer that charges calls. Raises `ConfigurationError` without a
    store, and where the ledger cannot be read.
    """
    if access is None:
        raise ConfigurationError("[admin] path needs keys in a store: set [auth] store as well.")
    issuer = Issuer(access.store, access.peppers, prefix=config.auth.prefix)
    keys = AdminKeys(issuer, access.store)
    if cost is None:
        return keys
    return AdminApis(keys, AdminBudgets(_books(config, cost["ledger"]), cost["budgets"]))


def _books(config: Config, ledger: Ledger) -> Books:
    if isinstance(ledger, MemoryLedger):
        return MemoryBooks(ledger)
    url = read_store_url(config.cost.ledger or MEMORY, "[cost] ledger")
    with blame("[cost] ledger:"):
        return open_books(url, timeout=TIMEOUT)
