"""Claims: what a token must say to be accepted, and what is made of the rest."""

from collections.abc import Collection, Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.auth.jose import MAX_TEXT, TokenError, number
from veneer.auth.scopes import SCOPES
from veneer.auth.verifier import Denial
from veneer.facts import Principal

# A claim by its name, or by the names that lead to it (`("realm_access", "roles")`).
Path = str | tuple[str, ...]

MAX_ITEMS = 100


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """Which claim of a token becomes which field of its Principal.

    Lists are JSON lists of text, or text with spaces between (RFC 8693 §4.2). Without a claim for
    `scopes`, every token has those in `granted`; with one, those of its words that `scope_names`
    translates, or that are scopes already where it is empty. A token that lacks a claim which holds
    keys to `operations` or `models` may use none of them. The claims named in `attributes` are
    handed on as they are.
    """

    id: Path = "sub"
    name: Path | None = None
    team: Path | None = None
    user: Path | None = None
    scopes: Path | None = None
    operations: Path | None = None
    models: Path | None = None
    tags: Path | None = None
    attributes: tuple[str, ...] = ()
    granted: frozenset[str] = frozenset({"write"})
    scope_names: Mapping[str, str] = MappingProxyType({})

    def __post_init__(self) -> None:
        wrong = (self.granted | set(self.scope_names.values())) - SCOPES
        if wrong:
            raise ValueError(
                f"There is no scope {', '.join(sorted(map(repr, wrong)))}: there are "
                f"{', '.join(sorted(SCOPES))}."
            )

    def principal(self, claims: Mapping[str, Any]) -> Principal:
        """Return whom the claims describe. Raises TokenError where they are of another form."""
        identity = _text(claims, self.id)
        if identity is None:
            raise TokenError("the claim for the id is missing")
        models = _items(claims, self.models)
        operations = _items(claims, self.operations)
        return Principal(
            id=identity,
            name=_text(claims, self.name) or "",
            team=_text(claims, self.team),
            user=_text(claims, self.user),
            scopes=self._scopes(claims),
            operations=None if operations is None else frozenset(operations),
            models=models,
            tags=_items(claims, self.tags) or (),
            attributes={name: claims[name] for name in self.attributes if name in claims},
        )

    def _scopes(self, claims: Mapping[str, Any]) -> frozenset[str]:
        words = _items(claims, self.scopes)
        if words is None:
            return self.granted
        if self.scope_names:
            return frozenset(self.scope_names[word] for word in words if word in self.scope_names)
        return SCOPES.intersection(words)


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What the registered claims of every token have to be (RFC 7519 §4.1); `leeway` in seconds."""

    issuer: str
    audiences: Collection[str]
    leeway: float

    def is_for_us(self, claims: Mapping[str, Any]) -> bool:
        """Whether it is our issuer's, and meant for one of our audiences."""
        audience = claims.get("aud")
        named = audience if isinstance(audience, list) else [audience]
        return claims.get("iss") == self.issuer and any(
            isinstance(name, str) and name in self.audiences for name in named
        )

    def expiry(self, claims: Mapping[str, Any]) -> float:
        """Return when a token is over, leeway included. Raises TokenError where it never is."""
        expires = number(claims, "exp")
        if expires is None:
            raise TokenError("it never expires")
        return expires + self.leeway

    def denial(self, claims: Mapping[str, Any], now: float) -> Denial | None:
        """Return what is wrong with a token's times, if anything. Raises TokenError."""
        expires = self.expiry(claims)
        not_before = number(claims, "nbf")
        issued = number(claims, "iat")
        if issued is not None and issued > expires:
            raise TokenError("it was over before it was issued")
        if now >= expires:
            return Denial.EXPIRED
        latest = max(not_before or 0.0, issued or 0.0)
        return Denial.NOT_YET_VALID if latest > now + self.leeway else None


def _at(claims: Mapping[str, Any], path: Path) -> Any:
    value: Any = claims
    for step in (path,) if isinstance(path, str) else path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(step)
    return value


def _text(claims: Mapping[str, Any], path: Path | None) -> str | None:
    value = None if path is None else _at(claims, path)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_TEXT or not value.isprintable():
        raise TokenError("a claim that should be a name is none")
    return value


def _items(claims: Mapping[str, Any], path: Path | None) -> tuple[str, ...] | None:
    """Return a list, empty where a claim is named and missing, None where none is named."""
    if path is None:
        return None
    value = _at(claims, path)
    items = value.split() if isinstance(value, str) else [] if value is None else value
    if not isinstance(items, list) or len(items) > MAX_ITEMS:
        raise TokenError("a claim that should be a list is none")
    if not all(isinstance(item, str) and item.isprintable() for item in items):
        raise TokenError("a claim that should be a list of names is none")
    return tuple(items)
