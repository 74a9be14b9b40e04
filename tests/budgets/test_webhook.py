"""The webhook: what it sends, how often it tries, and what it gives up."""

import asyncio
import base64
import json
import logging
from collections.abc import Callable

import httpx
import pytest

from tests.budgets.crossings import crossing
from tests.limiters import virtual
from veneer.budgets.webhook import AT_ONCE, FAREWELL, ThresholdWebhook
from veneer.wire.signing import key_of, signature

URL = "https://hooks.test/budgets?to=us"
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_700_000_000.0

Answer = Callable[[httpx.Request], httpx.Response]


class Receiver(httpx.AsyncBaseTransport):
    """A receiver that answers with one status after the other, the last one for ever.

    It notes the requests and when they came, in seconds since the first; -1 is no answer at all,
    0 a connection that is refused.
    """

    def __init__(self, *statuses: int, retry_after: str | None = None) -> None:
        self.statuses = list(statuses or (200,))
        self.fields = {} if retry_after is None else {"retry-after": retry_after}
        self.requests: list[httpx.Request] = []
        self.times: list[float] = []
        self.began: float | None = None
        self.closed = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        now = asyncio.get_running_loop().time()
        self.began = now if self.began is None else self.began
        self.requests.append(request)
        self.times.append(now - self.began)
        status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        if status < 0:
            await asyncio.Event().wait()
        if status == 0:
            raise httpx.ConnectError("secret-path was refused")
        return httpx.Response(status, headers=self.fields)

    async def aclose(self) -> None:
        """Count."""
        self.closed += 1


def seconds() -> float:
    """Return an epoch that goes with the loop."""
    return NOW + asyncio.get_running_loop().time()


def delivered(
    receiver: Receiver, *, crossings: int = 1, after: float = 1000.0, secret: str | None = None
) -> None:
    """Tell a receiver, in a time that is not real, and stop after these seconds."""

    async def main() -> None:
        webhook = ThresholdWebhook(URL, secret, transport=receiver, clock=seconds)
        async with webhook.lifespan():
            for _ in range(crossings):
                webhook(crossing())
            await asyncio.sleep(after)

    virtual.run(main())


def test_a_crossing_is_posted_and_signed(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(204)
    delivered(receiver, secret=SECRET)
    [request] = receiver.requests
    assert (request.method, str(request.url)) == ("POST", URL)
    assert request.headers["content-type"] == "application/json"
    body = request.content
    assert json.loads(body)["data"]["spent_usd"] == "16.02"
    message_id = request.headers["webhook-id"]
    assert json.loads(body)["id"] == message_id
    timestamp = int(request.headers["webhook-timestamp"])
    assert timestamp == NOW + 1000
    assert request.headers["webhook-signature"] == signature(
        key_of(SECRET), message_id, timestamp, body
    )
    assert caplog.messages == []


def test_without_a_secret_nothing_is_signed() -> None:
    receiver = Receiver()
    delivered(receiver)
    assert "webhook-signature" not in receiver.requests[0].headers
    assert "webhook-id" in receiver.requests[0].headers


def test_who_fails_is_tried_again_after_longer_and_longer_pauses(
    caplog: pytest.LogCaptureFixture,
) -> None:
    receiver = Receiver(503, 0, 429, 200)
    delivered(receiver, secret=SECRET)
    assert len(receiver.requests) == 4
    pauses = [later - at for at, later in zip(receiver.times, receiver.times[1:], strict=False)]
    for pause, meant in zip(pauses, (2, 8, 32), strict=True):
        assert meant * 0.75 <= pause <= meant * 1.25
    assert caplog.messages == []
    first, *_, last = receiver.requests
    assert last.headers["webhook-id"] == first.headers["webhook-id"]
    assert last.content == first.content
    assert int(last.headers["webhook-timestamp"]) > int(first.headers["webhook-timestamp"]) + 20
    assert last.headers["webhook-signature"] != first.headers["webhook-signature"]


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (500, "the receiver has answered with status 500"),
        (0, "it could not be sent (ConnectError)"),
        (-1, "no answer within 5 seconds"),
    ],
)
def test_after_five_tries_it_is_given_up_and_logged(
    status: int, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(status)
    delivered(receiver)
    assert len(receiver.requests) == 5
    assert receiver.times[-1] < 300
    [message] = caplog.messages
    assert message == (
        "the webhook was not told of the budget month (team 'acme') at 0.8 of its limit, with "
        f"16.02 of 20 dollars spent: {reason}"
    )


@pytest.mark.parametrize("status", [302, 400, 404, 410])
def test_what_would_be_answered_so_again_is_not_tried_again(
    status: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(status)
    delivered(receiver)
    assert len(receiver.requests) == 1
    [message] = caplog.messages
    assert f"status {status}" in message


def test_a_receiver_may_ask_for_a_longer_pause_but_not_for_ever() -> None:
    receiver = Receiver(429, 200, retry_after="60")
    delivered(receiver)
    assert receiver.times == [0, 60]
    receiver = Receiver(503, 200, retry_after="86400")
    delivered(receiver)
    assert receiver.times == [0, 300]


def test_a_silent_receiver_has_so_many_at_once_and_holds_nobody_up_at_the_end(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        receiver = Receiver(-1)
        webhook = ThresholdWebhook(URL, transport=receiver, timeout=60)
        async with webhook.lifespan():
            for number in range(AT_ONCE + 3):
                webhook(crossing(team=f"team-{number}"))
            await asyncio.sleep(1)
            assert len(receiver.requests) == AT_ONCE
            began = asyncio.get_running_loop().time()
        assert asyncio.get_running_loop().time() <= began + FAREWELL + 1

    virtual.run(main())
    assert len(caplog.messages) == AT_ONCE + 3
    for number in range(AT_ONCE + 3):
        [message] = [each for each in caplog.messages if f"'team-{number}'" in each]
        assert message.endswith("it was not done in time when the process stopped")


@pytest.mark.parametrize(("last", "lost"), [(200, 0), (503, 3)])
def test_at_the_end_what_pauses_is_tried_once_more(
    last: int, lost: int, caplog: pytest.LogCaptureFixture
) -> None:
    receiver = Receiver(503, 503, 503, last)
    delivered(receiver, crossings=3, after=1)
    assert receiver.times == [0, 0, 0, 1, 1, 1]
    assert len(caplog.messages) == lost


def test_those_who_share_one_share_its_lifespan(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> None:
        receiver = Receiver()
        webhook = ThresholdWebhook(URL, transport=receiver)
        webhook(crossing())
        assert receiver.requests == []
        async with webhook.lifespan():
            async with webhook.lifespan():
                pass
            webhook(crossing())
        assert len(receiver.requests) == 1
        async with webhook.lifespan():
            webhook(crossing())
        assert len(receiver.requests) == 2
        assert receiver.closed == 0, "it is whose it was"

    virtual.run(main())
    [message] = caplog.messages
    assert message.endswith("nobody is in the lifespan of the webhook")


def test_credentials_in_the_url_are_sent_and_never_shown(caplog: pytest.LogCaptureFixture) -> None:
    receiver = Receiver(0)

    async def main() -> None:
        webhook = ThresholdWebhook("https://us%40er:p%3Ass@hooks.test:444/x#y", transport=receiver)
        async with webhook.lifespan():
            webhook(crossing())

    with caplog.at_level(logging.DEBUG):
        virtual.run(main())
    request = receiver.requests[0]
    assert str(request.url) == "https://hooks.test:444/x"
    assert request.headers["host"] == "hooks.test:444"
    assert base64.b64decode(request.headers["authorization"].split()[1]) == b"us@er:p:ss"
    assert "ConnectError" in caplog.text
    for secret in ("p%3Ass", "p:ss", "secret-path", "hooks.test"):
        assert secret not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.test/x",
        "ftp://secret@hooks.test/x",
        "file:///etc/secret",
        "https:///secret",
        "https://secret@/",
        "https://u:secret@hooks.test:port/",
        "https://u:sec/ret@hooks.test/",
        "https://hooks.test:0/secret",
        "https://hooks.test:70000/secret",
        "https://[::1/secret",
        "https://hooks.test/sec ret",
        "https://hooks.test/secret\n",
        "https://hooks.test/s\u00e9cret",
        f"https://{'a' * 64}.test/secret",
        "https://a..test/secret",
    ],
)
def test_a_url_that_cannot_be_is_refused_and_not_shown(url: str) -> None:
    with pytest.raises(
        ValueError, match=r"^The URL has to be https://host/path, or http"
    ) as caught:
        ThresholdWebhook(url)
    assert caught.value.__context__ is None
    assert "cret" not in str(caught.value)


def test_what_only_httpx_finds_wrong_is_given_up_without_the_url(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        webhook = ThresholdWebhook(f"https://hooks.test/{'secret' * 12_000}", pauses=())
        async with webhook.lifespan():
            webhook(crossing())

    virtual.run(main())
    [message] = caplog.messages
    assert message.endswith("it could not be sent (InvalidURL)")


def test_a_secret_that_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match="The secret has to be whsec_"):
        ThresholdWebhook(URL, "whsec_c2hvcnQ=")


@pytest.mark.parametrize(
    ("timeout", "pauses"), [(0, ()), (-1, ()), (float("nan"), ()), (1, (2, -1))]
)
def test_times_that_cannot_be_are_refused(timeout: float, pauses: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="timeout has to be above 0"):
        ThresholdWebhook(URL, timeout=timeout, pauses=pauses)
