"""An issuer for tests: its keys, its key set behind a URL, and tokens good and bad."""

import base64
import functools
import json
from collections.abc import Mapping
from typing import Any

import httpx
import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from tests.clock import Clock
from veneer.auth.jwks import Freshness, Jwks
from veneer.auth.jwt import JwtVerifier

ISSUER = "https://idp.test/"
AUDIENCE = "veneer"
NOW = 1_800_000_000.0
URL = "https://idp.test/keys"
HEADER = {"alg": "RS256", "kid": "k1"}


@functools.cache
def private_key(kind: str = "rsa") -> Any:
    """Return a key made once; kinds beginning with the same type differ by what follows."""
    if kind.startswith("rsa"):
        return rsa.generate_private_key(65537, 1024 if kind == "rsa-short" else 2048)
    if kind.startswith("ed"):
        return ed25519.Ed25519PrivateKey.generate()
    curves = {"ec": ec.SECP256R1(), "ec384": ec.SECP384R1(), "ec521": ec.SECP521R1()}
    return ec.generate_private_key(curves[kind])


@functools.cache
def _public_jwk(kind: str) -> dict[str, Any]:
    names = {"rsa": "RS256", "ec": "ES256", "ec384": "ES384", "ec521": "ES512", "ed": "EdDSA"}
    algorithm = jwt.PyJWS().get_algorithm_by_name(names[kind.partition("-")[0]])
    jwk: dict[str, Any] = algorithm.to_jwk(private_key(kind).public_key(), as_dict=True)
    return {name: value for name, value in jwk.items() if name != "key_ops"}


def jwk(kind: str = "rsa", key_id: str | None = "k1", **more: Any) -> dict[str, Any]:
    """Return the public key as a JWK."""
    named = {} if key_id is None else {"kid": key_id}
    return {**_public_jwk(kind), **named, **more}


def key_set(*jwks: Mapping[str, Any]) -> bytes:
    """Return a key set as a document."""
    return json.dumps({"keys": jwks or (jwk(),)}).encode()


def claims(**more: Any) -> dict[str, Any]:
    """Return claims that are accepted; None takes one away."""
    usual = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "iat": int(NOW),
        "exp": int(NOW) + 600,
        **more,
    }
    return {name: value for name, value in usual.items() if value is not None}


def part(value: Any) -> str:
    """Return JSON (or text or bytes, as they are) in base64url."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(
    payload: Any = None, header: Any = None, *, kind: str = "rsa", algorithm: str = "RS256"
) -> str:
    """Return a token, signed over whatever header and payload are given."""
    header = {"alg": algorithm, "kid": "k1"} if header is None else header
    body = f"{part(header)}.{part(claims() if payload is None else payload)}"
    signer = jwt.PyJWS().get_algorithm_by_name(algorithm)
    return f"{body}.{part(signer.sign(body.encode(), private_key(kind)))}"


def unsigned(name: str) -> str:
    """Return a token that says it needs no signature, by this name."""
    return f"{part({'alg': name, 'kid': 'k1'})}.{part(claims())}."


class Issuer:
    """The other end of the URL: hands out a document, counts, and fails where it is told to."""

    def __init__(self, document: bytes | None = None) -> None:
        self.document = key_set() if document is None else document
        self.status = 200
        self.headers: dict[str, str] = {}
        self.away = False
        self.asked = 0
        self.clock = Clock(50.0)

    async def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer one request."""
        self.asked += 1
        if self.away:
            raise httpx.ConnectError("nobody is there", request=request)
        return httpx.Response(
            self.status, headers=self.headers, stream=httpx.ByteStream(self.document)
        )

    def jwks(self, **freshness: float) -> Jwks:
        """Return its key set as the verifier fetches it."""
        client = httpx.AsyncClient(transport=httpx.MockTransport(self.handle))
        return Jwks(URL, client=client, freshness=Freshness(**freshness), clock=self.clock)


def verifier(behind: Issuer | None = None, **options: Any) -> JwtVerifier:
    """Return a verifier of this issuer's tokens."""
    settings = {"issuer": ISSUER, "audience": AUDIENCE, "clock": Clock(NOW), **options}
    return JwtVerifier((behind or Issuer()).jwks(), **settings)
