"""What every store of recordings keeps to, in each of them."""

import asyncio
import secrets

import pytest

from tests.idempotency.stores import (
    ANSWER,
    FIRST,
    LONG,
    OTHER,
    SECOND,
    TTL,
    Setting,
    claimed,
    new_key,
)
from veneer.idempotency.store import Claim, Done, InFlight, Recording


async def test_a_key_that_nobody_has_is_claimed_and_then_in_flight_for_others(
    setting: Setting,
) -> None:
    key = new_key()
    assert await setting.store.look(key) is None
    await claimed(setting.store, key)

    for store in (setting.store, setting.sibling):
        for found in (await store.look(key), await store.claim(key, FIRST, LONG)):
            assert isinstance(found, InFlight)
            assert found.fingerprint == FIRST
            assert LONG - 10 < found.seconds <= LONG


async def test_an_answer_that_was_committed_is_there_for_all(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    assert await setting.store.commit(key, token, ANSWER, TTL)

    for store in (setting.store, setting.sibling):
        assert await store.look(key) == Done(FIRST, ANSWER)
        assert await store.claim(key, FIRST, LONG) == Done(FIRST, ANSWER)


async def test_a_different_request_is_told_what_is_there_and_changes_nothing(
    setting: Setting,
) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    found = await setting.sibling.claim(key, SECOND, LONG)
    assert isinstance(found, InFlight)
    assert found.fingerprint == FIRST

    assert await setting.store.commit(key, token, ANSWER, TTL)
    assert await setting.sibling.claim(key, SECOND, LONG) == Done(FIRST, ANSWER)
    assert await setting.store.look(key) == Done(FIRST, ANSWER)


async def test_keys_do_not_meet(setting: Setting) -> None:
    key, neighbour = new_key(), new_key()
    token = await claimed(setting.store, key)
    other = await claimed(setting.store, neighbour)

    assert not await setting.store.commit(neighbour, token, ANSWER, TTL)
    assert not await setting.store.renew(key, other, LONG)
    assert await setting.store.commit(key, token, ANSWER, TTL)
    assert isinstance(await setting.store.look(neighbour), InFlight)


async def test_tokens_grow(setting: Setting) -> None:
    key, last = new_key(), 0
    for store in (setting.store, setting.sibling) * 3:
        token = await claimed(store, key)
        assert token > last
        last = token
        await store.release(key, token)


async def test_a_key_that_was_given_up_is_free_at_once(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    await setting.store.release(key, token)
    assert await setting.sibling.look(key) is None
    assert not await setting.store.renew(key, token, LONG)
    assert not await setting.store.commit(key, token, ANSWER, TTL)
    await setting.store.release(key, token)

    outcome = await setting.sibling.claim(key, SECOND, LONG)
    assert isinstance(outcome, Claim)
    found = await setting.store.look(key)
    assert isinstance(found, InFlight)
    assert found.fingerprint == SECOND


async def test_to_release_what_was_answered_changes_nothing(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    assert await setting.store.commit(key, token, ANSWER, TTL)
    await setting.store.release(key, token)
    assert await setting.store.look(key) == Done(FIRST, ANSWER)


async def test_what_nobody_has_is_not_held(setting: Setting) -> None:
    key = new_key()
    assert not await setting.store.renew(key, 1, LONG)
    assert not await setting.store.commit(key, 1, ANSWER, TTL)
    await setting.store.release(key, 1)
    assert await setting.store.look(key) is None


async def test_a_wrong_token_does_nothing(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    for wrong in (0, token - 1, token + 1):
        assert not await setting.sibling.renew(key, wrong, LONG)
        assert not await setting.sibling.commit(key, wrong, OTHER, TTL)
        await setting.sibling.release(key, wrong)
    assert isinstance(await setting.store.look(key), InFlight)
    assert await setting.store.commit(key, token, ANSWER, TTL)


async def test_a_commit_that_is_repeated_succeeds_again_and_changes_nothing(
    setting: Setting,
) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    for _ in range(3):
        assert await setting.store.commit(key, token, ANSWER, TTL)
    assert await setting.sibling.commit(key, token, ANSWER, TTL)
    assert await setting.store.look(key) == Done(FIRST, ANSWER)


async def test_that_an_answer_was_too_large_is_kept(setting: Setting) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    assert await setting.store.commit(key, token, None, TTL)
    assert await setting.store.commit(key, token, None, TTL)
    assert await setting.sibling.look(key) == Done(FIRST, None)
    assert await setting.sibling.claim(key, SECOND, LONG) == Done(FIRST, None)


@pytest.mark.parametrize(
    "recording",
    [
        Recording(200, (), b""),
        Recording(204, ((b"x-empty", b""), (b"", b"x")), b""),
        Recording(299, ((b"a", b"1"), (b"a", b"1"), (b"A", b"2")), bytes(range(256)) * 3),
        Recording(200, tuple((b"h%d" % n, bytes([n])) for n in range(256)), b"\0"),
        Recording(200, ((b"x", b"\xff\0\r\n\x80:, \t"), (b"\xfe\n", b"'\"\\")), b'"\xf0\x9f'),
        Recording(200, ((b"x", b"v" * 70_000),), secrets.token_bytes(300_000)),
    ],
    ids=["empty", "empty fields", "repeated fields", "many", "odd bytes", "large"],
)
async def test_every_byte_comes_back(setting: Setting, recording: Recording) -> None:
    key = new_key()
    token = await claimed(setting.store, key)
    assert await setting.store.commit(key, token, recording, TTL)
    assert await setting.sibling.look(key) == Done(FIRST, recording)
    assert await setting.store.claim(key, FIRST, LONG) == Done(FIRST, recording)


@pytest.mark.parametrize(
    "key", [bytes(20), b"\xff" * 20, b"'\"{}\r\n\0:*" + b"%s" * 5], ids=["zeros", "high", "odd"]
)
async def test_a_key_and_a_fingerprint_may_be_any_bytes(setting: Setting, key: bytes) -> None:
    outcome = await setting.store.claim(key, key, LONG)
    assert isinstance(outcome, Claim)
    found = await setting.sibling.look(key)
    assert isinstance(found, InFlight)
    assert found.fingerprint == key
    assert await setting.store.commit(key, outcome.token, OTHER, TTL)
    assert await setting.sibling.look(key) == Done(key, OTHER)


async def test_of_many_who_claim_at_once_one_has_it(setting: Setting) -> None:
    key = new_key()
    stores = [setting.store, setting.sibling] * 25
    outcomes = await asyncio.gather(*(store.claim(key, FIRST, LONG) for store in stores))
    claims = [outcome for outcome in outcomes if isinstance(outcome, Claim)]
    assert len(claims) == 1
    assert sum(isinstance(outcome, InFlight) for outcome in outcomes) == len(stores) - 1
    assert await setting.store.commit(key, claims[0].token, ANSWER, TTL)


async def test_many_calls_of_many_keys_at_once(setting: Setting) -> None:
    async def call(number: int) -> Recording:
        key, body = new_key(), b"%d" % number
        token = await claimed(setting.store, key)
        assert await setting.store.renew(key, token, LONG)
        assert await setting.store.commit(key, token, Recording(200, (), body), TTL)
        found = await setting.sibling.look(key)
        assert isinstance(found, Done)
        assert found.recording is not None
        return found.recording

    answers = await asyncio.gather(*(call(number) for number in range(50)))
    assert [answer.body for answer in answers] == [b"%d" % number for number in range(50)]
