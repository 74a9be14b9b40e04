"""JWTs: what is accepted, for how long, and what becomes of it."""

from typing import Any

import pytest

from tests.auth import tokens
from tests.auth.tokens import HEADER, NOW, Issuer, claims, jwk, token, unsigned, verifier
from tests.clock import Clock
from veneer.auth import jwt as module
from veneer.auth.claims import Claims
from veneer.auth.verifier import Denial, lifespan_of
from veneer.facts import Principal


async def verdict(text: str, behind: Issuer | None = None, **options: Any) -> Principal | Denial:
    return await verifier(behind, **options).verify(text)


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("rsa", "RS256"),
        ("rsa", "PS384"),
        ("ec", "ES256"),
        ("ec384", "ES384"),
        ("ec521", "ES512"),
        ("ed", "EdDSA"),
    ],
)
async def test_a_token_of_each_algorithm_is_accepted(kind: str, algorithm: str) -> None:
    issuer = Issuer(tokens.key_set(jwk(kind)))
    found = await verdict(token(kind=kind, algorithm=algorithm), issuer, algorithms=[algorithm])
    assert found == Principal(id="alice", scopes=frozenset({"write"}))


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({"exp": NOW - 29}, None),
        ({"exp": NOW - 30}, Denial.EXPIRED),
        ({"exp": NOW - 1000, "iat": NOW - 2000}, Denial.EXPIRED),
        ({"nbf": NOW + 30}, None),
        ({"nbf": NOW + 31}, Denial.NOT_YET_VALID),
        ({"iat": NOW + 31}, Denial.NOT_YET_VALID),
        ({"iat": None}, None),
        ({"exp": NOW + 0.5, "iat": NOW - 0.5}, None),
    ],
)
async def test_times_count_with_their_leeway(
    times: dict[str, float], expected: Denial | None
) -> None:
    found = await verdict(token(claims(**times)))
    assert (found if isinstance(found, Denial) else None) is expected


async def test_times_of_a_forged_token_are_not_told() -> None:
    assert await verdict(token(claims(exp=1, iat=0), kind="rsa-other")) is Denial.UNKNOWN


@pytest.mark.parametrize(
    ("types", "typ", "good"),
    [
        (None, None, 1),
        (None, "JWT", 1),
        (None, "application/at+jwt", 1),
        (["at+jwt"], "AT+JWT", 1),
        (["at+jwt"], "JWT", 0),
        (["at+jwt"], None, 0),
    ],
)
async def test_types_are_those_named(types: list[str] | None, typ: str | None, good: int) -> None:
    header = HEADER if typ is None else {**HEADER, "typ": typ}
    found = await verdict(token(header=header), types=types)
    assert isinstance(found, Principal) is bool(good)


async def test_one_of_several_audiences_is_enough() -> None:
    found = await verdict(token(claims(aud=["x", "b"])), audience=["a", "b"])
    assert isinstance(found, Principal)


async def test_a_token_without_a_key_id_fits_the_only_key() -> None:
    text = token(header={"alg": "RS256"})
    one = Issuer(tokens.key_set(jwk(key_id=None)))
    two = Issuer(tokens.key_set(jwk(), jwk("rsa-other", "k2")))
    assert isinstance(await verdict(text, one), Principal)
    assert await verdict(text, two) is Denial.UNKNOWN


async def test_a_set_that_is_away_is_no_refusal() -> None:
    issuer = Issuer()
    issuer.away = True
    assert await verdict(token(), issuer) is Denial.UNAVAILABLE


async def test_tokens_of_others_are_no_reason_to_fetch_keys() -> None:
    issuer = Issuer()
    checker = verifier(issuer)
    for text in (token(claims(iss="https://evil.test/")), unsigned("none"), "vnr_x"):
        await checker.verify(text)
    assert issuer.asked == 0


async def test_an_accepted_token_is_known_until_it_expires_or_keys_change() -> None:
    issuer, clock = Issuer(), Clock(NOW)
    checker = verifier(issuer, clock=clock, leeway=0)
    text = token(claims(exp=NOW + 20))
    first = await checker.verify(text)
    assert await checker.verify(text) is first
    clock.now += 20
    assert await checker.verify(text) is Denial.EXPIRED
    clock.now -= 20
    assert isinstance(await checker.verify(text), Principal)
    issuer.document = tokens.key_set(jwk("rsa-other"))
    issuer.clock.now += 20
    await checker.verify(token(header={**HEADER, "kid": "new"}))
    assert await checker.verify(text) is Denial.UNKNOWN, "its key was taken back"


async def test_what_is_known_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KNOWN", 2)
    checker = verifier()
    for number in range(4):
        assert isinstance(await checker.verify(token(claims(jti=number))), Principal)
    assert len(checker._known) == 2


async def test_claims_become_the_principal() -> None:
    mapping = Claims(team="org", scopes="scope", scope_names={"llm": "write"}, attributes=("org",))
    found = await verdict(token(claims(org="ops", scope="openid llm")), claims=mapping)
    assert isinstance(found, Principal)
    assert (found.team, found.scopes) == ("ops", frozenset({"write"}))
    assert found.attributes == {"org": "ops"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": ""},
        {"audience": ""},
        {"audience": []},
        {"algorithms": []},
        {"algorithms": ["none"]},
        {"algorithms": ["RS256", "HS256"]},
        {"leeway": -1},
        {"leeway": 3600},
    ],
)
def test_settings_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"give|there are"):
        verifier(**wrong)


async def test_its_lifespan_is_that_of_the_keys() -> None:
    issuer = Issuer()
    checker = verifier(issuer)
    async with lifespan_of(checker):
        assert isinstance(await checker.verify(token()), Principal)
    assert issuer.asked == 1
