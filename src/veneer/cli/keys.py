"""`veneer keys`: makes and ends keys in a store."""

import os
import sys
from argparse import Namespace
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from datetime import UTC, datetime
from typing import Any, TypeVar

from veneer.cli.keys_fields import fields_of
from veneer.cli.keys_output import as_json, print_record, print_records, print_secret
from veneer.cli.secrets import given_secret
from veneer.cli.stores import TIMEOUT, with_store
from veneer.cli.terminal import print_json
from veneer.cli.times import duration
from veneer.config.auth import open_store, read_peppers
from veneer.config.auth_tables import AuthTable
from veneer.keys.issuer import Issued, Issuer
from veneer.keys.peppers import MIN_LENGTH, Peppers
from veneer.keys.record import KeyRecord
from veneer.keys.store import KeyStore
from veneer.wiring import ConfigurationError

T = TypeVar("T")

PAGE = 500


def run(given: Namespace) -> int:
    """Do what is asked of the store; raises `ConfigurationError` where that cannot be done."""
    return with_store(given, "auth", auth_overrides(given), ACTIONS)


def auth_overrides(given: Namespace) -> dict[str, dict[str, Any]]:
    """Return the table that `--store` and `--pepper` stand for."""
    table: dict[str, Any] = {}
    if given.store is not None:
        table["store"] = given.store
    if given.pepper is not None:
        table["peppers"] = [{"id": "1", "secret": given.pepper}]
    return {"auth": table}


async def create(given: Namespace, auth: AuthTable) -> None:
    """Make a key and show it."""
    fields = fields_of(given, datetime.now(UTC))
    async with _issuer(auth) as issuer:
        issued = await issuer.create(fields)
    _show_issued(issued, given, f"The key {issued.record.id} is made.")


async def import_key(given: Namespace, auth: AuthTable) -> None:
    """Take over a key that exists already."""
    if given.stray:
        raise ConfigurationError(
            "a key does not belong on a command line, where others can see it: give it on standard "
            "input, or say where it is with --secret env:NAME or file:PATH."
        )
    fields = fields_of(given, datetime.now(UTC))
    token = given_secret(given.secret, "--secret")
    async with _issuer(auth) as issuer:
        record = await issuer.import_token(token, fields)
    _show(record, given)


async def list_keys(given: Namespace, auth: AuthTable) -> None:
    """List the keys of a store, or of a team."""
    records: list[KeyRecord] = []
    async with _opened(auth) as store:
        page: Sequence[KeyRecord] = await store.list(team=given.team, limit=PAGE)
        while page:
            records += page
            page = await store.list(team=given.team, after=page[-1].id, limit=PAGE)
    now = datetime.now(UTC)
    if given.json:
        print_json([as_json(record, now) for record in records])
    elif records:
        print_records(records, now)
    else:
        print("There are no keys.", file=sys.stderr)


async def show(given: Namespace, auth: AuthTable) -> None:
    """Show all that is known of a key."""
    async with _opened(auth) as store:
        record = await store.get(given.id)
    _show(_found(record, given.id), given)


async def rotate(given: Namespace, auth: AuthTable) -> None:
    """Make a key like another, which ends after an overlap."""
    overlap = duration(given.overlap)
    async with _issuer(auth) as issuer:
        issued = await issuer.rotate(given.id, overlap=overlap)
    issued = _found(issued, given.id)
    sentence = (
        f"The key {issued.record.id} is made; {given.id} works for another {given.overlap} at most."
    )
    _show_issued(issued, given, sentence)


async def revoke(given: Namespace, auth: AuthTable) -> None:
    """End a key now."""
    # No digest is made when a key is ended: who is in a hurry need not find the pepper first.
    unused = Peppers({"": os.urandom(MIN_LENGTH)}, current="")
    async with _opened(auth) as store:
        record = _found(await Issuer(store, unused).revoke(given.id), given.id)
    if given.json:
        _show(record, given)
    else:
        print(f"The key {record.id} ({record.shown}) is revoked.")


ACTIONS = {
    "create": create,
    "import": import_key,
    "list": list_keys,
    "show": show,
    "rotate": rotate,
    "revoke": revoke,
}


def _opened(auth: AuthTable) -> AbstractAsyncContextManager[KeyStore]:
    return aclosing(open_store(auth, timeout=TIMEOUT))


@asynccontextmanager
async def _issuer(auth: AuthTable) -> AsyncIterator[Issuer]:
    peppers = read_peppers(auth)
    async with _opened(auth) as store:
        yield Issuer(store, peppers, prefix=auth.prefix)


def _found(value: T | None, key_id: str) -> T:
    if value is None:
        raise ConfigurationError(f"there is no key {key_id!r} in this store.")
    return value


def _show(record: KeyRecord, given: Namespace) -> None:
    now = datetime.now(UTC)
    if given.json:
        print_json(as_json(record, now))
    else:
        print_record(record, now)


def _show_issued(issued: Issued, given: Namespace, sentence: str) -> None:
    if given.json and not given.quiet:
        print_json({**as_json(issued.record, datetime.now(UTC)), "secret": issued.token})
    else:
        print_secret(issued.token, sentence, quiet=given.quiet)
