"""JWT: tokens of an identity provider, proved by its public keys (RFC 7519, RFC 8725)."""

import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

import msgspec

from veneer.auth.claims import Claims, Rules
from veneer.auth.jose import ALGORITHMS, Token, TokenError, read_token
from veneer.auth.jwks import Jwks
from veneer.auth.key_set import pyjwt
from veneer.auth.verifier import Denial
from veneer.facts import Principal

MAX_SIZE = 8192
MAX_LEEWAY = 300
# Tokens that were accepted are known by their digests for so many seconds, and so many of them.
KNOWN_FOR = 60.0
MAX_KNOWN = 10_000

DEFAULT_ALGORITHMS = ("RS256", "ES256", "EdDSA")


class Known(msgspec.Struct, frozen=True):
    """A token that was accepted: until when, by which generation of keys, and whose it is."""

    until: float
    generation: int
    principal: Principal


class JwtVerifier:
    """Accepts tokens that `issuer` signed for `audience` (one or several names).

    `keys` are the issuer's; `algorithms` are the only ones accepted, and each only with a key of
    its type. `claims` says what becomes of a token's claims. `types` are the only `typ` accepted;
    by default `JWT`, `at+jwt` or none. Tokens must expire; clocks may differ by `leeway` seconds.
    `clock` (seconds since 1970) stands in for time in tests. Raises ValueError for settings that
    cannot be, `ConfigurationError` where the extra `jwt` is not installed.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        keys: Jwks,
        *,
        issuer: str,
        audience: str | Collection[str],
        algorithms: Iterable[str] = DEFAULT_ALGORITHMS,
        claims: Claims | None = None,
        types: Sequence[str] | None = None,
        leeway: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        audiences = frozenset([audience] if isinstance(audience, str) else audience)
        if not issuer or not audiences or "" in audiences:
            raise ValueError("A token needs an issuer and an audience: give the names of both.")
        if not 0 <= leeway <= MAX_LEEWAY:
            raise ValueError(f"leeway is {leeway}: give seconds, {MAX_LEEWAY} at most.")
        self._algorithms = frozenset(algorithms)
        if not self._algorithms or not self._algorithms <= ALGORITHMS.keys():
            wrong = sorted(self._algorithms - ALGORITHMS.keys())
            raise ValueError(
                f"algorithms has {', '.join(map(repr, wrong)) or 'none'}: there are "
                f"{', '.join(ALGORITHMS)}."
            )
        # Not needed here, but what is missing is to be told at the start.
        pyjwt()
        self._keys = keys
        self._claims = claims or Claims()
        self._types = frozenset(map(_bare_type, types or ("JWT", "at+jwt")))
        self._type_required = types is not None
        self._rules = Rules(issuer=issuer, audiences=audiences, leeway=leeway)
        self._clock = clock
        self._known: OrderedDict[bytes, Known] = OrderedDict()

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the lifespan of the key set."""
        return self._keys.lifespan()

    async def verify(self, credential: str) -> Principal | Denial:
        """Return whom a token describes, if it is signed, meant for us, and of this time."""
        if len(credential) > MAX_SIZE:
            return Denial.MALFORMED
        digest = hashlib.sha256(credential.encode()).digest()
        known = self._known.get(digest)
        if known is not None:
            if self._clock() < known.until and known.generation == self._keys.generation:
                return known.principal
            self._known.pop(digest, None)
        try:
            return await self._prove(credential, digest)
        except TokenError:
            return Denial.MALFORMED

    async def _prove(self, credential: str, digest: bytes) -> Principal | Denial:
        token = read_token(credential)
        if not self._is_acceptable(token):
            return Denial.MALFORMED
        # Before its keys are looked for: another issuer's tokens are no reason to fetch ours.
        if not self._rules.is_for_us(token.claims):
            return Denial.UNKNOWN
        keys = await self._keys.find(token.key_id, token.algorithm)
        if keys is None:
            return Denial.UNAVAILABLE
        generation = self._keys.generation
        # What was read is what is verified: no second reader takes the token apart.
        if not any(key.Algorithm.verify(token.signed, key.key, token.signature) for key in keys):
            return Denial.UNKNOWN
        now = self._clock()
        denial = self._rules.denial(token.claims, now)
        if denial is not None:
            return denial
        principal = self._claims.principal(token.claims)
        until = min(self._rules.expiry(token.claims), now + KNOWN_FOR)
        self._known[digest] = Known(until, generation, principal)
        if len(self._known) > MAX_KNOWN:
            self._known.popitem(last=False)
        return principal

    def _is_acceptable(self, token: Token) -> bool:
        if token.algorithm not in self._algorithms:
            return False
        if token.type is None:
            return not self._type_required
        return _bare_type(token.type) in self._types


def _bare_type(name: str) -> str:
    """Return a media type as `typ` may have it, without `application/` (RFC 7515 §4.1.9)."""
    return name.lower().removeprefix("application/")
