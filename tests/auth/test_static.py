"""Static keys."""

import hashlib
import hmac

import pytest

from veneer.auth.static import StaticKeys, digest_of
from veneer.auth.verifier import Denial, principals_of
from veneer.facts import Principal

ALICE = Principal(id="alice")
BOB = Principal(id="bob")


async def test_a_key_is_found_by_its_digest() -> None:
    keys = StaticKeys([(hashlib.sha256(b"secret-a").hexdigest(), ALICE), (digest_of("b"), BOB)])
    assert await keys.verify("secret-a") is ALICE
    assert await keys.verify("b") is BOB
    assert await keys.verify("secret-b") is Denial.UNKNOWN
    assert await keys.verify(digest_of("b")) is Denial.UNKNOWN
    assert principals_of(keys) == (ALICE, BOB)


async def test_digests_may_be_under_a_pepper() -> None:
    digest = hmac.new(b"pepper", b"secret-a", "sha256").hexdigest()
    assert digest == digest_of("secret-a", b"pepper")
    keys = StaticKeys([(digest.upper(), ALICE), (digest_of("b"), BOB)], pepper=b"pepper")
    for _ in range(2):
        assert await keys.verify("secret-a") is ALICE
        assert await keys.verify("b") is Denial.UNKNOWN


async def test_a_principal_may_have_several_keys() -> None:
    keys = StaticKeys([(digest_of("old"), ALICE), (digest_of("new"), ALICE)])
    assert await keys.verify("old") is await keys.verify("new")


@pytest.mark.parametrize("wrong", ["", "abc", "g" * 64, "a" * 63, " " + "a" * 63, "a" * 64 + "\n"])
def test_what_is_no_digest_is_refused_and_not_repeated(wrong: str) -> None:
    with pytest.raises(ValueError, match="not 64 hexadecimal digits") as caught:
        StaticKeys([(wrong, ALICE)])
    assert not wrong or wrong not in str(caught.value)


def test_one_key_for_two_and_no_key_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="'alice' and 'bob' are one key"):
        StaticKeys([(digest_of("a"), ALICE), (digest_of("a"), BOB)])
    with pytest.raises(ValueError, match="There is no key"):
        StaticKeys([])


@pytest.mark.parametrize("pepper", [None, b"pepper"])
async def test_whose_key_it_is_is_told_at_once_where_it_was_met(pepper: bytes | None) -> None:
    keys = StaticKeys([(digest_of("sk-alice", pepper), ALICE)], pepper=pepper)
    assert keys.recall("sk-alice") is (ALICE if pepper is None else None)
    await keys.verify("sk-alice")
    await keys.verify("sk-other")
    assert keys.recall("sk-alice") is ALICE
    assert keys.recall("sk-other") is None
