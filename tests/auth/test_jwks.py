"""JWKS: when the key set is fetched, when it is not, and what is used meanwhile."""

import asyncio
import gc
import logging
from typing import Any

import httpx
import pytest

from tests.auth.tokens import URL, Issuer, jwk, key_set
from veneer.auth.jwks import MAX_SIZE, Freshness, Jwks

RS = "RS256"


async def find(keys: Jwks, key_id: str | None = "k1") -> int | None:
    """Return how many keys are found, None where nobody can tell."""
    found = await keys.find(key_id, RS)
    return None if found is None else len(found)


async def settled(keys: Jwks) -> None:
    """Let an attempt beside the test end."""
    if keys._fetching is not None:
        await asyncio.wait({keys._fetching})


async def test_the_set_is_fetched_once_and_kept() -> None:
    issuer = Issuer()
    keys = issuer.jwks()
    assert [await find(keys) for _ in range(3)] == [1, 1, 1]
    assert issuer.asked == 1


async def test_an_unknown_id_is_looked_for_in_a_new_set() -> None:
    issuer = Issuer()
    keys = issuer.jwks(cooldown=10)
    await find(keys)
    issuer.document = key_set(jwk(), jwk("rsa-other", "k2"))
    assert await find(keys, "k2") == 0, "so soon after the last attempt none is made"
    issuer.clock.now += 10
    assert await find(keys, "k2") == 1
    assert issuer.asked == 2
    assert keys.generation == 2


async def test_random_ids_cause_no_stampede() -> None:
    issuer = Issuer()
    keys = issuer.jwks(cooldown=10)
    first = await asyncio.gather(*(find(keys, f"random-{number}") for number in range(50)))
    assert (set(first), issuer.asked) == ({0}, 1)
    for second in range(30):
        issuer.clock.now += 1
        await asyncio.gather(*(find(keys, f"{second}-{number}") for number in range(20)))
    assert issuer.asked == 4


async def test_a_token_without_an_id_asks_for_no_new_set() -> None:
    issuer = Issuer(key_set(jwk(), jwk("rsa-other", "k2")))
    keys = issuer.jwks()
    assert await find(keys, None) == 0
    issuer.clock.now += 100
    assert await find(keys, None) == 0
    assert issuer.asked == 1


async def test_an_old_set_is_renewed_while_it_is_used() -> None:
    issuer = Issuer()
    keys = issuer.jwks(ttl=300)
    await find(keys)
    issuer.document = key_set(jwk("rsa-other", "k2"))
    issuer.clock.now += 301
    assert await find(keys) == 1, "nobody waits for it"
    await settled(keys)
    assert await find(keys) == 0, "a key that was taken back is gone"
    assert await find(keys, "k2") == 1


async def test_the_last_good_set_serves_while_the_url_is_away() -> None:
    issuer = Issuer()
    keys = issuer.jwks(ttl=300, keep=1000, cooldown=10)
    await find(keys)
    issuer.away = True
    issuer.clock.now += 301
    assert await find(keys) == 1
    await settled(keys)
    assert await find(keys, "k2") is None, "nobody can tell whether there is such a key"
    issuer.clock.now += 700
    assert await find(keys) is None, "too old to be believed"
    issuer.away = False
    issuer.clock.now += 10
    assert await find(keys) == 1


async def test_a_url_that_is_away_is_not_hammered(caplog: pytest.LogCaptureFixture) -> None:
    issuer = Issuer()
    issuer.away = True
    keys = issuer.jwks(cooldown=10)
    with caplog.at_level(logging.WARNING, "veneer.auth"):
        assert {await find(keys) for _ in range(20)} == {None}
    assert issuer.asked == 1
    assert caplog.messages == [
        "the key set of idp.test was not fetched (ConnectError: see the network)"
    ]


@pytest.mark.parametrize(
    ("status", "headers", "document"),
    [
        (500, {}, key_set()),
        (302, {"location": "https://evil.test/"}, b""),
        (200, {"content-encoding": "gzip"}, key_set()),
        (200, {}, b" " * (MAX_SIZE + 1)),
        (200, {}, b"<html>secret</html>"),
        (200, {}, b'{"keys": []}'),
    ],
)
async def test_an_answer_that_is_no_key_set_changes_nothing(
    status: int, headers: dict[str, str], document: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    issuer = Issuer()
    keys = issuer.jwks(cooldown=0, ttl=0.5)
    await find(keys)
    issuer.status, issuer.headers, issuer.document = status, headers, document
    issuer.clock.now += 1
    assert await find(keys) == 1
    await settled(keys)
    assert await find(keys) == 1
    assert keys.generation == 1
    assert "was not fetched" in caplog.text
    assert "secret" not in caplog.text


async def test_an_attempt_takes_no_longer_than_its_timeout() -> None:
    async def never(_request: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    client = httpx.AsyncClient(transport=httpx.MockTransport(never))
    assert await find(Jwks(URL, client=client, freshness=Freshness(timeout=0.02))) is None


@pytest.mark.parametrize("error", [OSError("/secret.pem"), httpx.InvalidURL("no host")])
async def test_what_is_wrong_on_our_side_is_no_bug_of_a_request(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_: httpx.Request) -> httpx.Response:
        raise error

    client = httpx.AsyncClient(transport=httpx.MockTransport(broken))
    assert await find(Jwks(URL, client=client)) is None
    assert caplog.messages == [
        f"the key set of idp.test was not fetched ({type(error).__name__}: see the network)"
    ]


async def test_whoever_stops_waiting_leaves_the_attempt_to_the_others() -> None:
    issuer = Issuer()
    keys = issuer.jwks()
    impatient, patient = (asyncio.create_task(find(keys)) for _ in range(2))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == 1
    assert issuer.asked == 1


async def test_the_lifespan_fetches_beside_the_start_and_leaves_nothing() -> None:
    issuer = Issuer()
    keys = issuer.jwks()
    async with keys.lifespan():
        await settled(keys)
        assert issuer.asked == 1
    async with keys.lifespan():
        pass
    assert keys._fetching is None
    assert await find(keys) == 1


class Server:
    """A real HTTP server on loopback, with a key set that a test changes."""

    def __init__(self) -> None:
        self.document = key_set()
        self.requests: list[bytes] = []

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request and close."""
        self.requests.append(await reader.readuntil(b"\r\n\r\n"))
        head = b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
        writer.write(head % len(self.document) + self.document)
        await writer.drain()
        writer.close()
        await writer.wait_closed()


async def test_a_real_server_is_asked_again_for_an_unknown_id() -> None:
    server = Server()
    listening = await asyncio.start_server(server.answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    keys = Jwks(f"http://127.0.0.1:{port}/keys", freshness=Freshness(cooldown=0))
    async with listening, keys.lifespan():
        assert await find(keys) == 1
        server.document = key_set(jwk("rsa-other", "k2"))
        assert await asyncio.gather(*(find(keys, "k2") for _ in range(10))) == [1] * 10
        assert await find(keys) == 0
        listening.close()
        await listening.wait_closed()
        assert await find(keys, "k2") == 1
        assert await find(keys, "k3") is None
    assert len(server.requests) == 3
    assert b"accept-encoding: identity" in server.requests[0].lower()
    gc.collect()


@pytest.mark.parametrize(
    "url",
    [
        "",
        "keys",
        "http://idp.test/keys",
        "http://127.0.0.1.evil.test/keys",
        "ftp://127.0.0.1/keys",
        "file:///etc/passwd",
        "https:///keys",
        "https://user:secret@idp.test/keys",
        "https://idp.test:0/keys",
        "https://idp.test:99999/keys",
    ],
)
def test_urls_that_cannot_be_used_are_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"https://host/path|[Pp]ort") as caught:
        Jwks(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url", ["https://idp.test/keys", "http://localhost:1/k", "http://127.8.9.1/", "http://[::1]:8/"]
)
def test_urls_that_can_be_used_are_taken(url: str) -> None:
    made: Any = Jwks(url)
    assert made.generation == 0
