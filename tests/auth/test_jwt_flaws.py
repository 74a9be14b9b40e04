"""JWTs with each of the classic flaws (RFC 8725), and some of their own."""

import asyncio
import hashlib
import hmac
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.auth import tokens
from tests.auth.tokens import HEADER, ISSUER, NOW, claims, jwk, part, token, unsigned, verifier
from veneer.auth.verifier import Denial


async def verdict(text: str) -> object:
    return await verifier().verify(text)


def pem() -> bytes:
    public = tokens.private_key().public_key()
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def signed_by_hmac(secret: bytes) -> str:
    body = f"{part({'alg': 'HS256', 'kid': 'k1'})}.{part(claims())}"
    return f"{body}.{part(hmac.new(secret, body.encode(), hashlib.sha256).digest())}"


def embedded() -> str:
    """Return a token signed by a key that it brings along."""
    header = {**HEADER, "jwk": jwk("rsa-other"), "jku": "https://evil.test/keys", "x5u": "x"}
    return token(header=header, kind="rsa-other")


TWICE = json.dumps(claims())[:-1].encode() + b', "sub": "root"}'
DEEP = b"[" * 3000 + b"]" * 3000


@pytest.mark.parametrize(
    "make",
    [
        lambda: unsigned("none"),
        lambda: unsigned("None"),
        lambda: unsigned("nOnE"),
        lambda: unsigned(""),
        lambda: signed_by_hmac(pem()),
        lambda: signed_by_hmac(b""),
        lambda: token(algorithm="RS384"),
        lambda: token(header={**HEADER, "crit": ["exp"]}),
        lambda: token(header={**HEADER, "crit": []}),
        lambda: token(header={**HEADER, "b64": False}),
        lambda: token(header={**HEADER, "typ": "dpop+jwt"}),
        lambda: token(header={**HEADER, "typ": 7}),
        lambda: token(header={**HEADER, "kid": 7}),
        lambda: token(header={**HEADER, "kid": "k" * 300}),
        lambda: token(header={**HEADER, "alg": ["RS256"]}),
        lambda: token(header={"kid": "k1"}),
        lambda: token(header=b'{"alg": "RS256", "alg": "none", "kid": "k1"}'),
        lambda: token(header=b"[]"),
        lambda: token(header=b'{"alg": NaN}'),
        lambda: token(header=b"\xff"),
        lambda: token(TWICE),
        lambda: token(b'"text"'),
        lambda: token(DEEP),
        lambda: token(b'{"a": ' + DEEP + b"}"),
        lambda: token(claims(exp=None)),
        lambda: token(claims(exp=str(NOW + 600))),
        lambda: token(claims(exp=True)),
        lambda: token(json.dumps(claims())[:-1].encode() + b', "nbf": 1e999}'),
        lambda: token(
            json.dumps(claims(exp=None))[:-1].encode() + b', "exp": 1' + b"0" * 400 + b"}"
        ),
        lambda: token(claims(iat=NOW + 1000, exp=NOW + 600)),
        lambda: token(claims(sub=None)),
        lambda: token(claims(sub="")),
        lambda: token(claims(sub=7)),
        lambda: token(claims(sub="line\nbreak")),
        lambda: token() + "=",
        lambda: token() + ".x",
        lambda: token().rpartition(".")[0],
        lambda: " " + token(),
        lambda: "a.b.c",
        lambda: "..",
        lambda: "",
        lambda: "vnr_live_0123456789",
        lambda: token(claims(filler="x" * 8000)),
    ],
)
async def test_what_is_no_token_that_may_be_is_malformed(make: Callable[[], str]) -> None:
    assert await verdict(make()) is Denial.MALFORMED


@pytest.mark.parametrize(
    "make",
    [
        lambda: token(claims(iss="https://evil.test/")),
        lambda: token(claims(iss=None)),
        lambda: token(claims(iss=[ISSUER])),
        lambda: token(claims(aud="other")),
        lambda: token(claims(aud=["other", "veneer2"])),
        lambda: token(claims(aud=None)),
        lambda: token(claims(aud={"veneer": 1})),
        lambda: token(claims(aud=[["veneer"]])),
        lambda: token(kind="rsa-other"),
        embedded,
        lambda: token(header={**HEADER, "kid": "../../etc/passwd"}),
        lambda: token(header={**HEADER, "kid": "k1' OR '1'='1"}),
        lambda: token(header={**HEADER, "alg": "ES256"}),
        lambda: token()[:-8] + "AAAAAAAA",
        lambda: ".".join([part(HEADER), part(claims(sub="root")), token().rpartition(".")[2]]),
    ],
)
async def test_a_token_that_is_not_proved_or_not_for_us_is_unknown(make: Callable[[], str]) -> None:
    assert await verdict(make()) is Denial.UNKNOWN


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=300))
def test_whatever_is_shown_is_refused_cleanly(text: str) -> None:
    assert asyncio.run(verdict(text)) in (Denial.MALFORMED, Denial.UNKNOWN)
