"""Auth as it is configured: from `[auth]` to the verifier that it describes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from veneer.auth.any_of import AnyOf
from veneer.auth.claims import Claims
from veneer.auth.jwks import Jwks
from veneer.auth.jwt import JwtVerifier
from veneer.auth.static import StaticKeys, digest_of
from veneer.auth.stored import StoredKeys
from veneer.auth.verifier import Verifier
from veneer.config.auth_tables import (
    DEFAULT_PEPPER,
    AuthTable,
    ClaimsTable,
    JwtTable,
    KeyTable,
    PepperTable,
)
from veneer.config.blame import blame
from veneer.config.secret import read_secret
from veneer.config.store_url import read_lasting_url
from veneer.facts import Principal
from veneer.keys.fields import FieldError, check_budgets, check_limits, check_tags
from veneer.keys.peppers import Peppers
from veneer.keys.store import KeyStore
from veneer.stores import open_key_store
from veneer.wiring import ConfigurationError

DEFAULT_PEPPERS = [PepperTable(id="1", secret=DEFAULT_PEPPER)]


def asks_for_keys(table: AuthTable) -> bool:
    """Whether anything is configured that knows who may call."""
    return table.store is not None or bool(table.keys) or table.jwt != JwtTable()


class StoreAccess(msgspec.Struct, frozen=True):
    """A store of keys, and the peppers under which its digests are made."""

    store: KeyStore
    peppers: Peppers


def open_access(table: AuthTable) -> StoreAccess | None:
    """Return access to the store that `[auth]` names, if it names one; it connects when used.

    Raises `ConfigurationError` that names the table where a value cannot be used.
    """
    if table.store is None:
        return None
    peppers = read_peppers(table)
    return StoreAccess(open_store(table), peppers)


def build_verifier(table: AuthTable, access: StoreAccess | None = None) -> Verifier | None:
    """Return the verifier that `[auth]` describes; None where nothing in it knows a key.

    `access` is that to its store, where somebody else uses it too; the verifier closes it. Secrets
    are read here. Raises `ConfigurationError` that names the table where a value cannot be used.
    """
    verifiers: list[Verifier] = []
    if table.keys:
        verifiers.append(_static_keys(table.keys))
    access = access or open_access(table)
    if access is not None:
        verifiers.append(_stored_keys(table, access))
    if table.jwt != JwtTable():
        verifiers.append(_tokens(table.jwt))
    if not verifiers:
        return None
    return verifiers[0] if len(verifiers) == 1 else AnyOf(verifiers)


def open_store(table: AuthTable, *, timeout: float = 2.0) -> KeyStore:
    """Return the store that `[auth] store` names, of which no call takes longer than `timeout`.

    Raises `ConfigurationError`, with no part of a URL that was read from elsewhere.
    """
    url = read_lasting_url(table.store, "[auth] store")
    with blame("[auth] store:"):
        return open_key_store(url, timeout=timeout)


def read_peppers(table: AuthTable) -> Peppers:
    """Return the peppers that `[[auth.peppers]]` name; raises as `build_verifier` does."""
    tables = table.peppers or DEFAULT_PEPPERS
    secrets: dict[str, bytes] = {}
    for pepper in tables:
        if pepper.id in secrets:
            raise ConfigurationError(
                f"[[auth.peppers]] has the id {pepper.id!r} twice: give each its own."
            )
        secrets[pepper.id] = _read_pepper(pepper).encode()
    with blame("[[auth.peppers]]"):
        return Peppers(secrets, current=table.current_pepper or tables[-1].id)


class _OwnKeys(StoredKeys):
    """Keys of a store that nobody else uses: it is closed after them."""

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Hold the keys open, and the store around them."""
        try:
            async with super().lifespan():
                yield
        finally:
            await self._store.aclose()


def _stored_keys(table: AuthTable, access: StoreAccess) -> Verifier:
    with blame("[auth]"):
        return _OwnKeys(access.store, access.peppers, prefix=table.prefix, grace=table.grace)


def _read_pepper(pepper: PepperTable) -> str:
    try:
        return read_secret(pepper.secret, f"[[auth.peppers]] {pepper.id!r}")
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{str(error).rstrip('.')}: make one with `openssl rand -hex 32`, and keep it, as the "
            "keys in the store are worth nothing without it."
        ) from error


def _static_keys(tables: list[KeyTable]) -> StaticKeys:
    pairs = [(_digest(table), _principal(table)) for table in tables]
    with blame("[[auth.keys]]"):
        return StaticKeys(pairs)


def _digest(table: KeyTable) -> str:
    if table.secret is not None and table.digest is None:
        return digest_of(read_secret(table.secret, f"[[auth.keys]] secret of {table.id!r}"))
    if table.digest is not None and table.secret is None:
        return table.digest
    raise ConfigurationError(
        f"[[auth.keys]] {table.id!r} needs either a secret (env:NAME or file:PATH) or a digest."
    )


def _principal(table: KeyTable) -> Principal:
    try:
        check_tags(table.tags)
        check_limits(table.limits)
        check_budgets(table.budgets)
    except FieldError as error:
        raise ConfigurationError(f"[[auth.keys]] {table.id!r}: {error}") from error
    return Principal(
        id=table.id,
        name=table.id,
        team=table.team,
        user=table.user,
        scopes=frozenset(table.scopes),
        operations=None if table.operations is None else frozenset(table.operations),
        models=None if table.models is None else tuple(table.models),
        limits=table.limits,
        budgets=table.budgets,
        tags=tuple(table.tags),
    )


def _tokens(table: JwtTable) -> JwtVerifier:
    if table.issuer is None or table.audience is None or table.jwks_url is None:
        raise ConfigurationError("[auth.jwt] needs all of issuer, audience and jwks_url.")
    with blame("[auth.jwt]"):
        return JwtVerifier(
            Jwks(table.jwks_url),
            issuer=table.issuer,
            audience=table.audience,
            algorithms=table.algorithms,
            claims=_claims(table.claims),
            types=table.types,
            leeway=table.leeway,
        )


def _claims(table: ClaimsTable) -> Claims:
    given: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in msgspec.structs.asdict(table).items()
    }
    return Claims(**given | {"granted": frozenset(table.granted)})
