"""`veneer provider-keys`: keeps the keys that callers have of their own for providers."""

import sys
from argparse import Namespace
from contextlib import AbstractAsyncContextManager, aclosing
from typing import Any

from veneer.cli.secrets import given_secret
from veneer.cli.stores import TIMEOUT, with_store
from veneer.cli.terminal import minute, print_json, print_table, shortened
from veneer.config.own_keys import open_store, read_seals
from veneer.config.router_tables import OwnKeysTable
from veneer.provider_keys.keeper import ProviderKeyKeeper
from veneer.provider_keys.record import Owner, ProviderKeyRecord
from veneer.provider_keys.store import ProviderKeyStore
from veneer.wiring import ConfigurationError

HEADINGS = ("TEAM", "KEY", "PROVIDER", "SHOWN", "SEALED BY", "CREATED")


def run(given: Namespace) -> int:
    """Do what is asked of the store; raises `ConfigurationError` where that cannot be done."""
    options = {"store": given.store, "secret": given.secret}
    said = {"own_keys": {name: value for name, value in options.items() if value is not None}}
    return with_store(given, "own_keys", said, ACTIONS)


async def put(given: Namespace, table: OwnKeysTable) -> None:
    """Keep a key."""
    if given.stray:
        raise ConfigurationError(
            "a key does not belong on a command line, where others can see it: give it on standard "
            "input, or say where it is with --value env:NAME or file:PATH."
        )
    seals, owner = read_seals(table), _owner(given)
    key = given_secret(given.value, "--value")
    async with _opened(table) as store:
        record = await ProviderKeyKeeper(store, seals).set(owner, given.provider, key)
    if given.json:
        print_json(as_json(record))
    else:
        print(f"The key {record.shown} of {_words(owner)} for {given.provider} is kept.")


async def list_all(given: Namespace, table: OwnKeysTable) -> None:
    """List the keys of a store, or of an owner."""
    whose = None if given.team is None and given.key is None else _owner(given)
    async with _opened(table) as store:
        records = await store.list(whose)
    if given.json:
        print_json([as_json(record) for record in records])
    elif records:
        print_table([HEADINGS, *map(_row, records)], left=len(HEADINGS))
    else:
        print("There are no keys.", file=sys.stderr)


async def delete(given: Namespace, table: OwnKeysTable) -> None:
    """Forget a key."""
    owner = _owner(given)
    async with _opened(table) as store:
        found = await store.delete(owner, given.provider)
    if not found:
        raise ConfigurationError(f"there is no key of {_words(owner)} for {given.provider!r}.")
    if given.json:
        print_json({**_whose(owner), "provider": given.provider, "deleted": True})
    else:
        print(
            f"The key of {_words(owner)} for {given.provider} is forgotten; a server may know it "
            f"for another {table.refresh:g} s."
        )


async def reseal(given: Namespace, table: OwnKeysTable) -> None:
    """Seal all keys under the first secret."""
    seals = read_seals(table)
    async with _opened(table) as store:
        done, failed = await ProviderKeyKeeper(store, seals).reseal()
    if given.json:
        print_json({"resealed": done, "failed": failed})
    else:
        print(f"{done} keys are sealed anew.")
    if failed:
        raise ConfigurationError(
            f"{failed} keys were sealed under secrets that are not given, or were changed: set "
            "them anew, or delete them."
        )


ACTIONS = {"set": put, "list": list_all, "delete": delete, "reseal": reseal}


def as_json(record: ProviderKeyRecord) -> dict[str, Any]:
    """Return what a program learns of a key."""
    return {
        **_whose(record.owner),
        "provider": record.provider,
        "shown": record.shown,
        "sealed_by": record.seal,
        "created_at": record.created_at,
    }


def _opened(table: OwnKeysTable) -> AbstractAsyncContextManager[ProviderKeyStore]:
    return aclosing(open_store(table, timeout=TIMEOUT))


def _owner(given: Namespace) -> Owner:
    return Owner("key", given.key) if given.team is None else Owner("team", given.team)


def _whose(owner: Owner) -> dict[str, str | None]:
    return {"team": None, "key": None, owner.kind: owner.id}


def _words(owner: Owner) -> str:
    return f"the {owner.kind} {owner.id!r}"


def _row(record: ProviderKeyRecord) -> tuple[str, ...]:
    whose = _whose(record.owner)
    return (
        shortened(whose["team"] or "-"),
        shortened(whose["key"] or "-"),
        shortened(record.provider),
        record.shown,
        record.seal,
        minute(record.created_at),
    )
