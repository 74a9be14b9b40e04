"""Keys of callers' own as they are configured: from `[own_keys]` to their store and layer."""

from collections.abc import Sequence
from typing import Any

from veneer.config.blame import blame
from veneer.config.router_tables import OwnKeysTable, TargetTable
from veneer.config.secret import read_secret
from veneer.config.store_url import read_lasting_url
from veneer.provider_keys.keeper import ProviderKeyKeeper
from veneer.provider_keys.remembered import RememberedProviderKeys
from veneer.provider_keys.seals import Seals
from veneer.provider_keys.store import ProviderKeyStore
from veneer.stores import open_provider_key_store
from veneer.wiring import ConfigurationError


def build_own_keys(
    table: OwnKeysTable, targets: Sequence[TargetTable], *, has_keys: bool
) -> dict[str, Any] | None:
    """Return the options of the layer, None where no target takes keys of callers' own.

    `has_keys` is whether callers are asked who they are. Secrets are read here. Raises
    `ConfigurationError` that names the table where a value cannot be used.
    """
    takers = [target.name for target in targets if target.own_keys]
    if table.store is None:
        if takers:
            raise ConfigurationError(
                f"[[targets]] {takers[0]!r} has own_keys, and nothing says where they are: give "
                "[own_keys] a store, such as sqlite:///veneer.db."
            )
        return None
    if not takers:
        raise ConfigurationError(
            "[own_keys] store is set, and no target takes keys of callers' own: say own_keys = "
            "true in one of [[targets]]."
        )
    if not has_keys:
        raise ConfigurationError(
            "[own_keys] store is set, and callers are asked for no key, so that nobody knows whose "
            "own keys to take: have them asked, by [auth] or --store, and not --no-auth."
        )
    keeper = ProviderKeyKeeper(open_store(table), read_seals(table))
    keys = RememberedProviderKeys(keeper, max_age=table.refresh, grace=table.grace)
    return {"keys": keys, "targets": takers}


def open_store(table: OwnKeysTable, *, timeout: float = 2.0) -> ProviderKeyStore:
    """Return the store that `[own_keys] store` names, of which no call takes longer than `timeout`.

    Raises `ConfigurationError`, with no part of a URL that was read from elsewhere.
    """
    url = read_lasting_url(table.store, "[own_keys] store")
    with blame("[own_keys] store:"):
        return open_provider_key_store(url, timeout=timeout)


def read_seals(table: OwnKeysTable) -> Seals:
    """Return the seals under the secrets that `[own_keys] secret` names; raises as `open_store`."""
    references = [table.secret] if isinstance(table.secret, str) else table.secret
    secrets = [read_secret(reference, "[own_keys] secret") for reference in references]
    with blame("[own_keys] secret:"):
        return Seals([secret.encode() for secret in secrets])
