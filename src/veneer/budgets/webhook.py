"""The webhook: tells a URL of the thresholds that are crossed, signed as Standard Webhooks has it.

What arrives is one POST for each crossing, with a JSON object such as this:

    {"type": "budget.threshold_reached", "id": "msg_01J...", "created_at": "2026-01-31T12:00:00Z",
     "data": {"budget": "month", "partition": {"team": "acme"}, "period": "month",
              "starts": "2026-01-01T00:00:00Z", "ends": "2026-02-01T00:00:00Z",
              "threshold": 0.8, "limit_usd": "20", "spent_usd": "16.02"}}
"""

import asyncio
import base64
import logging
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from importlib import import_module
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit, urlunsplit

from veneer.budgets._delivery import Delivery, Failure, delivery_of, judged
from veneer.budgets._errands import Errands
from veneer.budgets.thresholds import Crossing
from veneer.wire import signing

logger = logging.getLogger("veneer.cost")

# Seconds between two tries, each a quarter more or less, so that what failed together does not come
# together again.
PAUSES = (2.0, 8.0, 32.0, 128.0)
_JITTER = 0.25

# Deliveries that are under way at once, those in a pause among them.
AT_ONCE = 8
# Seconds in which what waits at the end is tried once more; `veneer serve` gives all layers two.
FAREWELL = 1.5


class ThresholdWebhook:
    """POSTs crossings to a URL, to be the `on_threshold` of `CostMiddleware`.

    `secret` (`whsec_` and base64) signs them, and every try anew. A user name and a password in the
    URL are sent as basic authentication. A try may take `timeout` seconds and succeeds with any
    status 2xx; the rest of the answer is not read, and redirects are not followed. After network
    errors, 408, 425, 429 and 5xx there is another one after each of `pauses` (seconds), or what the
    receiver asks for by Retry-After, if that is more, up to five minutes.

    It delivers within `lifespan`, which `CostMiddleware` enters; at its end, what waits is tried
    once more, within a second and a half. What is not delivered is logged. `transport` is an
    `httpx.AsyncBaseTransport` to send with, for proxies or certificates of one's own; proxies of
    the environment are not used. `clock` gives seconds since the epoch.

    Raises ValueError, without any part of them, for a URL and a secret that cannot be used.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        url: str,
        secret: str | None = None,
        *,
        timeout: float = 5.0,
        pauses: Sequence[float] = PAUSES,
        transport: Any = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not timeout > 0 or not all(pause >= 0 for pause in pauses):
            raise ValueError("timeout has to be above 0, and each of pauses 0 or more.")
        self._url, self._authorization = _address(url)
        self._key = None if secret is None else signing.key_of(secret)
        self._timeout = timeout
        self._pauses = tuple(pauses)
        self._given = transport
        self._transport: Any = None
        self._httpx: Any = None
        self._clock = clock
        self._users = 0
        self._stopping = asyncio.Event()
        self._errands = Errands("the webhook", self._deliver, at_once=AT_ONCE, given_up=_given_up)

    def __call__(self, crossing: Crossing) -> None:
        """Have a crossing delivered."""
        delivery = delivery_of(crossing, self._clock())
        if self._users:
            self._errands.put(delivery)
        else:
            _given_up(delivery, "nobody is in the lifespan of the webhook")

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Deliver; at the end of the last one, until all is delivered, within a bound."""
        if not self._users:
            # Two thirds of a second of importing, better before the first call than among them.
            # What is below the client, whose log has all URLs: many a webhook's is a secret.
            self._httpx = import_module("httpx")
            given = self._given
            self._transport = self._httpx.AsyncHTTPTransport() if given is None else given
            self._stopping = asyncio.Event()
        self._users += 1
        try:
            yield
        finally:
            self._users -= 1
            if not self._users:
                await self._stop()

    async def _stop(self) -> None:
        self._stopping.set()
        try:
            await self._errands.finish(FAREWELL)
        finally:
            if self._transport is not self._given:
                await self._transport.aclose()

    async def _deliver(self, delivery: Delivery) -> None:
        failure = await self._try(delivery)
        for pause in self._pauses:
            if failure is None or not failure.passing or self._stopping.is_set():
                break
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - nobody has to guess
            await self._rest(max(pause * jitter, failure.pause))
            failure = await self._try(delivery)
        if failure is not None:
            _given_up(delivery, failure.reason)

    async def _rest(self, seconds: float) -> None:
        """Pause, unless everything ends."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()

    async def _try(self, delivery: Delivery) -> Failure | None:
        """Send it once; return what has failed."""
        httpx, now = self._httpx, self._clock()
        headers = self._headers(delivery, int(now))
        try:
            request = httpx.Request("POST", self._url, headers=headers, content=delivery.body)
            async with asyncio.timeout(self._timeout):
                response = await self._transport.handle_async_request(request)
                # Its body is the receiver's, who may never end it.
                await response.aclose()
        except TimeoutError:
            return Failure(f"no answer within {self._timeout:g} seconds")
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            # Without its sentence, which may quote what the other side sent, or the URL.
            return Failure(f"it could not be sent ({type(error).__name__})")
        return judged(response.status_code, response.headers.get("retry-after"), now)

    def _headers(self, delivery: Delivery, timestamp: int) -> dict[str, str]:
        headers = {
            "content-type": "application/json",
            "user-agent": "veneer",
            "webhook-id": delivery.id,
            "webhook-timestamp": str(timestamp),
        }
        if self._key is not None:
            signature = signing.signature(self._key, delivery.id, timestamp, delivery.body)
            headers["webhook-signature"] = signature
        if self._authorization is not None:
            headers["authorization"] = self._authorization
        return headers


def _address(url: str) -> tuple[str, str | None]:
    """Return a URL without its credentials, and the header field that these are sent in."""
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
        # Names that no resolver takes are errors only there, and of another kind.
        host.encode("idna")
        usable = parts.scheme in ("http", "https") and host != "" and parts.port != 0
    except ValueError:
        usable = False
    if not usable or not (url.isascii() and url.isprintable()) or " " in url:
        # Without the URL, and without the reason: both may hold a password.
        raise ValueError("The URL has to be https://host/path, or http, in visible ASCII.")
    credentials, at, place = parts.netloc.rpartition("@")
    bare = urlunsplit((parts.scheme, place, parts.path, parts.query, ""))
    if not at:
        return bare, None
    user, _, password = credentials.partition(":")
    basic = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
    return bare, "Basic " + base64.b64encode(basic).decode()


def _given_up(delivery: Delivery, reason: str) -> None:
    logger.error("the webhook was not told of %s: %s", delivery.crossing, reason)
