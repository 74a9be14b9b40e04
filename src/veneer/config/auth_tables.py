"""The tables of `veneer.toml` that say who may call."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.auth.credentials import DEFAULT
from veneer.auth.jwt import DEFAULT_ALGORITHMS, MAX_LEEWAY
from veneer.config.table import STORE, Name, Secret, Table
from veneer.keys.token import DEFAULT_PREFIX

DEFAULT_PEPPER = "env:VENEER_PEPPER"

Scope = Literal["read", "write", "full", "admin"]
Claim = Name | Annotated[list[Name], Meta(min_length=1)]


class PepperTable(Table, frozen=True):
    """A secret under which the store's digests are made: oldest first, never thrown away in use.

    Where there is no such table, there is one pepper, `1`, in the environment variable
    `VENEER_PEPPER`.
    """

    id: Annotated[Name, Meta(description="What the records of keys call it.")]
    secret: Annotated[
        Secret,
        Meta(
            description="Where it is: `env:NAME` or `file:PATH`; at least 32 characters, as "
            "`openssl rand -hex 32` makes them."
        ),
    ]


class KeyTable(Table, frozen=True):
    """A key that stands here instead of in the store, by its digest or by where it is."""

    id: Annotated[Name, Meta(description="What logs call it.")]
    secret: Annotated[
        Secret | None, Meta(description="Where the key is: `env:NAME` or `file:PATH`.")
    ] = None
    digest: Annotated[
        str | None,
        Meta(description="In place of `secret`: the SHA-256 of the key, in hexadecimal."),
    ] = None
    team: Annotated[Name | None, Meta(description="Who pays.")] = None
    user: Annotated[Name | None, Meta(description="Who acts.")] = None
    scopes: Annotated[
        list[Scope],
        Meta(
            description="What it may do: `read` is GET, `write` also POST, `full` every method; "
            "`admin` is for the paths of administration, and no part of them."
        ),
    ] = msgspec.field(default_factory=lambda: ["write"])
    operations: Annotated[
        list[Name] | None,
        Meta(description='The only operations it may use, such as `["embeddings"]`.'),
    ] = None
    models: Annotated[
        list[Name] | None,
        Meta(description="Patterns of the only models it may use; needs a layer that enforces it."),
    ] = None
    tags: Annotated[
        list[Name],
        Meta(
            description="Words that accounts can be split by; none begins with `client:`, which "
            "stands before those that clients give."
        ),
    ] = msgspec.field(default_factory=list)
    limits: Annotated[
        dict[str, str], Meta(description="Rate limits of its own, in place of the common ones.")
    ] = msgspec.field(default_factory=dict)
    budgets: Annotated[
        dict[str, str], Meta(description="Budgets of its own, in place of the common ones.")
    ] = msgspec.field(default_factory=dict)


class ClaimsTable(Table, frozen=True):
    """Which claim of a token becomes what: a name, or the list of names that leads to it."""

    id: Annotated[Claim, Meta(description="Who it is.")] = "sub"
    name: Annotated[Claim | None, Meta(description="A name for people.")] = None
    team: Annotated[Claim | None, Meta(description="Who pays.")] = None
    user: Annotated[Claim | None, Meta(description="Who acts.")] = None
    scopes: Annotated[
        Claim | None, Meta(description="The scopes; without it, every token has those `granted`.")
    ] = None
    operations: Annotated[
        Claim | None, Meta(description="The only operations; a token without it may use none.")
    ] = None
    models: Annotated[
        Claim | None, Meta(description="The only models; a token without it may use none.")
    ] = None
    tags: Annotated[Claim | None, Meta(description="Tags.")] = None
    attributes: Annotated[
        list[Name], Meta(description="Claims that are handed on as they are, to your own code.")
    ] = msgspec.field(default_factory=list)
    granted: Annotated[list[Scope], Meta(description="The scopes of every token.")] = msgspec.field(
        default_factory=lambda: ["write"]
    )
    scope_names: Annotated[
        dict[str, Scope],
        Meta(
            description='Your words for scopes, such as `{"llm.use" = "write"}`; others are none.'
        ),
    ] = msgspec.field(default_factory=dict)


class JwtTable(Table, frozen=True):
    """Tokens of an identity provider that are keys here; needs `veneer[jwt]`."""

    issuer: Annotated[
        Name | None, Meta(description="Who signs them, as in `iss`. Left out: no tokens.")
    ] = None
    audience: Annotated[
        Name | Annotated[list[Name], Meta(min_length=1)] | None,
        Meta(description="For whom they must be meant, as in `aud`: one of these."),
    ] = None
    jwks_url: Annotated[
        Name | None, Meta(description="Where the issuer's public keys are; https.")
    ] = None
    algorithms: Annotated[
        Annotated[list[Name], Meta(min_length=1)],
        Meta(description="The only algorithms accepted; `none` and HMAC never are."),
    ] = msgspec.field(default_factory=lambda: list(DEFAULT_ALGORITHMS))
    types: Annotated[
        list[Name] | None,
        Meta(description="The only `typ` accepted. Left out: `JWT`, `at+jwt`, or none."),
    ] = None
    leeway: Annotated[
        float, Meta(ge=0, le=MAX_LEEWAY, description="Seconds by which clocks may differ.")
    ] = 30.0
    claims: ClaimsTable = msgspec.field(default_factory=ClaimsTable)


class AuthTable(Table, frozen=True):
    """Who may call (`AuthMiddleware`): holders of keys in a store, of keys here, or of tokens."""

    store: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="Where `veneer keys` keeps keys: `sqlite:///veneer.db` or "
            "`postgresql://host/database`; one with a password as `env:NAME` or `file:PATH`."
        ),
    ] = None
    current_pepper: Annotated[
        Name | None,
        Meta(
            description="Id of the pepper for new digests; left out: the last. Add a new one "
            "everywhere before it is the current one anywhere."
        ),
    ] = None
    prefix: Annotated[Name, Meta(description="What keys of this store begin with.")] = (
        DEFAULT_PREFIX
    )
    credentials: Annotated[
        Annotated[list[Name], Meta(min_length=1)],
        Meta(description="Header fields that may hold a key, which goes no further."),
    ] = msgspec.field(default_factory=lambda: list(DEFAULT))
    public: Annotated[
        list[Name],
        Meta(description='Paths that need no key, such as `["/v1/models"]` or `["/docs/*"]`.'),
    ] = msgspec.field(default_factory=list)
    trusted_proxies: Annotated[
        list[Name],
        Meta(
            description="Addresses or networks whose `X-Forwarded-For` is believed when guesses "
            "at keys are counted."
        ),
    ] = msgspec.field(default_factory=list)
    grace: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that known keys go on working while the store does not answer.",
        ),
    ] = 60.0
    peppers: list[PepperTable] = msgspec.field(default_factory=list)
    keys: list[KeyTable] = msgspec.field(default_factory=list)
    jwt: JwtTable = msgspec.field(default_factory=JwtTable)
