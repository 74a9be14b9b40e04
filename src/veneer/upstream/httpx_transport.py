"""The transport that lets an httpx client do the work: HTTP/2, proxies, custom auth, mocks.

The client is known by its interface and never imported: an `httpx.AsyncClient`, an
`httpx2.AsyncClient`, or an object of a class derived from one of them.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Protocol

from veneer.upstream.httpx_errors import HttpxErrors
from veneer.upstream.origin import Origin
from veneer.upstream.request_body import of_length
from veneer.upstream.request_head import framing, host_line, render_head
from veneer.upstream.transport import (
    Headers,
    HeaderTimeout,
    ReadTimeout,
    Request,
    Timeouts,
    Truncated,
)

# Events of httpcore: nothing is sent before the first, and all after the last.
_CONNECTING = "connection."
_REQUEST_BEGINS = ".send_request_headers.started"
_WHOLE_REQUEST = ".send_request_body.complete"


class AsyncClient(Protocol):
    """What is used of an httpx client; its requests and responses are taken as they come."""

    def build_request(
        self, method: str, url: str, *, content: Any, extensions: dict[str, Any]
    ) -> Any:
        """Return a request with what the client adds to each."""

    async def send(self, request: Any, *, stream: bool, follow_redirects: bool) -> Any:
        """Send a request and return the response, its body unread."""

    async def aclose(self) -> None:
        """Close the client's connections."""


class HttpxTransport:
    """A `Transport` to the origin of `url` by way of `client`, which is used as it is.

    Its transports, mounts, proxies, auth and event hooks apply; its pool has its own limits. What
    it would add to each request (headers, cookies, parameters) is left out: requests go as given,
    and redirects come back. httpx notices an early response only once the body is sent, and that
    a response has ended only when that is read. The client stays its owner's, and open after
    `aclose`, unless `close_client` is set.
    """

    def __init__(
        self,
        client: AsyncClient,
        url: str,
        *,
        timeouts: Timeouts | None = None,
        close_client: bool = False,
    ) -> None:
        self.origin = Origin.parse(url)
        self._client = client
        self._close_client = close_client
        self._errors = HttpxErrors(client)
        self._timeouts = timeouts or Timeouts()
        self._host_line = host_line(self.origin.authority)

    async def request(self, request: Request) -> "HttpxResponse":
        """See `Transport.request`. Raises ValueError as `H1Transport.request` does."""
        render_head(request, self._host_line)  # only to have it judged
        try:
            async with asyncio.timeout(None) as limit:
                sent = self._built(request, limit)
                # Until we see better: not all that a client may be given tells where it is.
                request.begun = True
                response = await self._client.send(sent, stream=True, follow_redirects=False)
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise HeaderTimeout("the upstream did not answer in time") from error
        except self._errors.transport_error as error:
            raise self._errors.translated(error, answered=False) from error
        return HttpxResponse(response, self._errors, self._timeouts.read)

    async def aclose(self) -> None:
        """Close the client if this transport was told to."""
        if self._close_client:
            await self._client.aclose()

    def _built(self, request: Request, limit: asyncio.Timeout) -> Any:
        """Return the client's form of `request`, which sets `limit` when it has been sent."""
        body = request.body
        if not isinstance(body, bytes) and request.content_length is not None:
            body = of_length(body, request.content_length)
        # The target goes as it is: the path of an httpx.URL has been normalised.
        extensions = {
            "target": request.target,
            "timeout": self._client_timeouts(),
            "trace": _watching(request, limit, self._timeouts.response_header),
        }
        url = f"{self.origin.scheme}://{self.origin.authority}{request.target.decode('latin-1')}"
        method = request.method.decode("ascii")
        try:
            sent = self._client.build_request(method, url, content=body, extensions=extensions)
        except self._errors.invalid_url as error:
            raise ValueError(f"a request has a target that httpx does not take: {error}") from error
        fields = [(b"host", self.origin.authority.encode("ascii")), *request.headers]
        frame = framing(request)
        sent.headers = type(sent.headers)(fields if frame is None else [*fields, frame])
        return sent

    def _client_timeouts(self) -> dict[str, float | None]:
        timeouts = self._timeouts
        # httpx has one for both; the exact ones are kept here.
        both = (timeouts.response_header, timeouts.read)
        longest = None if None in both else max(filter(None, both))
        return {
            "connect": timeouts.connect,
            "write": timeouts.write,
            "read": longest,
            "pool": timeouts.pool,
        }


def _watching(request: Request, limit: asyncio.Timeout, seconds: float | None) -> Any:
    """Return a trace for httpcore: it sees when the request begins, and once it is sent whole.

    Then it limits the wait that is left.
    """
    loop = asyncio.get_running_loop()

    async def trace(event: str, _info: dict[str, Any]) -> None:
        if event.startswith(_CONNECTING):
            request.begun = False
        elif event.endswith(_REQUEST_BEGINS):
            request.begun = True
        if seconds is not None and event.endswith(_WHOLE_REQUEST):
            limit.reschedule(loop.time() + seconds)

    return trace


class HttpxResponse:
    """A `Response` around that of an httpx client."""

    def __init__(self, response: Any, errors: HttpxErrors, timeout: float | None) -> None:
        self.status: int = response.status_code
        self.headers: Headers = [(name.lower(), value) for name, value in response.headers.raw]
        self.ended = False
        self._response = response
        # A mock's may be whole already, and then it cannot be streamed.
        whole = response.is_stream_consumed
        self._body: AsyncIterator[bytes] = _content(response) if whole else response.aiter_raw()
        self._errors = errors
        self._timeout = timeout
        self._error: Exception | None = None

    async def read(self) -> bytes:
        """See `Response.read`."""
        if self._error is not None:
            raise self._error
        if self.ended:
            return b""
        self._error = Truncated("the response was closed before its end")
        try:
            async with asyncio.timeout(self._timeout):
                data = await anext(self._body, b"")
        except TimeoutError as error:
            self._error = ReadTimeout("the upstream went silent in the middle of its body")
            raise self._error from error
        except self._errors.transport_error as error:
            self._error = self._errors.translated(error, answered=True)
            raise self._error from error
        self._error = None
        self.ended = not data
        return data

    async def aclose(self) -> None:
        """See `Response.aclose`."""
        if not self.ended:
            self._error = self._error or Truncated("the response was closed before its end")
        await self._response.aclose()


async def _content(response: Any) -> AsyncIterator[bytes]:
    """Yield the body of a response that has been read."""
    if response.content:
        yield response.content
