"""Replays."""

import pytest

from tests.asgi import Exchange, http_scope
from veneer.idempotency.replay import PIECE, Replay
from veneer.idempotency.store import Recording


@pytest.mark.parametrize(
    ("size", "pieces"),
    [(0, 1), (1, 1), (PIECE, 1), (PIECE + 1, 2), (2 * PIECE, 2), (2 * PIECE + 1, 3)],
)
async def test_a_body_of_any_size_is_sent_whole(size: int, pieces: int) -> None:
    body = bytes(index % 251 for index in range(1000)) * (size // 1000 + 1)
    recording = Recording(201, ((b"x-a", b"1"),), body[:size])
    exchange = await Exchange(http_scope()).run(Replay(recording))
    assert (exchange.status, exchange.headers) == (201, [(b"x-a", b"1")])
    assert (exchange.body, exchange.ended) == (body[:size], True)
    assert len(exchange.messages) == 1 + pieces


async def test_a_field_may_be_added() -> None:
    recording = Recording(200, ((b"x-a", b"1"),), b"{}")
    exchange = await Exchange(http_scope()).run(Replay(recording).with_field((b"x-b", b"2")))
    assert exchange.headers == [(b"x-a", b"1"), (b"x-b", b"2")]
    assert recording.headers == ((b"x-a", b"1"),)
