"""The transport for HTTP/1.1: our own, because relaying is what this project is for.

It does what a proxy needs and no more: no redirects, cookies, decompression, retries or proxies.
For those, and for HTTP/2, hand an httpx client to `HttpxTransport`.
"""

import asyncio
import ssl

from veneer.upstream.connect import open_socket
from veneer.upstream.connection import Connection
from veneer.upstream.origin import Origin
from veneer.upstream.pool import Pool
from veneer.upstream.request_head import host_line, render_head
from veneer.upstream.response import H1Response
from veneer.upstream.tls import ALPN_HTTP_1_1, client_context
from veneer.upstream.transport import (
    ConnectFailed,
    ConnectTimeout,
    PoolLimits,
    Request,
    Timeouts,
)


class H1Transport:
    """A `Transport` over pooled HTTP/1.1 connections to the origin of `url`.

    Of `url`, only scheme, host and port count; `address` is connected to in place of what the host
    resolves to, which stays what Host and TLS go by. TLS is verified with `ssl_context`, or as
    `tls.client_context` does. A header larger than `max_header_bytes`, interim responses before it
    included, is malformed. A transport belongs to the event loop of its first request.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        url: str,
        *,
        timeouts: Timeouts | None = None,
        limits: PoolLimits | None = None,
        ssl_context: ssl.SSLContext | None = None,
        address: str | None = None,
        max_header_bytes: int = 65_536,
    ) -> None:
        self.origin = Origin.parse(url)
        if ssl_context is not None and not self.origin.secure:
            raise ValueError("ssl_context is for https: give the upstream an https:// URL")
        self._ssl = (ssl_context or client_context()) if self.origin.secure else None
        self._address = address or self.origin.host
        self._timeouts = timeouts or Timeouts()
        self._limits = limits or PoolLimits()
        self._max_header_bytes = max_header_bytes
        self._host_line = host_line(self.origin.authority)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pool: Pool | None = None

    @property
    def open(self) -> int:
        """How many connections are in use, idle, or being opened."""
        return 0 if self._pool is None else self._pool.open

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        return 0 if self._pool is None else self._pool.idle

    @property
    def waiting(self) -> int:
        """How many requests wait for a connection."""
        return 0 if self._pool is None else self._pool.waiting

    async def request(self, request: Request) -> H1Response:
        """See `Transport.request`.

        A response that comes before the whole body was sent stops the upload; its connection is not
        used again. Raises ValueError for a request that cannot be written without ambiguity, and
        what its body raises.
        """
        head = render_head(request, self._host_line)
        pool = self._pool
        if pool is None or self._loop is not asyncio.get_running_loop():
            pool = self._bound_pool()
        connection = pool.take() or await pool.acquire()
        request.begun = True
        waiter = connection.send(request, head)
        uploading = connection.uploading
        try:
            response = await waiter
            if uploading is not None:
                await asyncio.wait([uploading])
        except (asyncio.CancelledError, GeneratorExit):
            connection.abandon(waiter)
            raise
        finally:
            if uploading is not None and not uploading.done():
                await asyncio.wait([uploading])
        return response

    async def aclose(self) -> None:
        """See `Transport.aclose`. Later requests fail with `ConnectFailed`."""
        if self._pool is None:
            return
        await self._pool.aclose()

    def _bound_pool(self) -> Pool:
        """Return the pool, made for the running loop."""
        loop = asyncio.get_running_loop()
        if self._pool is None:
            self._loop = loop
            self._pool = Pool(self._connect, self._limits, self._timeouts.pool)
        if self._loop is not loop:
            raise RuntimeError(
                "this transport belongs to another event loop: make one transport for each loop"
            )
        return self._pool

    async def _connect(self) -> Connection:
        """Open a connection, TLS included, within the time for that."""
        where = self.origin.authority
        if self._address != self.origin.host:
            where = f"{where} ({self._address})"
        try:
            async with asyncio.timeout(self._timeouts.connect):
                return await self._handshake()
        except TimeoutError as error:
            raise ConnectTimeout(f"no connection to {where} in time") from error
        except OSError as error:
            raise ConnectFailed(f"no connection to {where}: {error}") from error

    async def _handshake(self) -> Connection:
        host = self.origin.host
        opened = await open_socket(self._address, self.origin.port)
        # From here on the socket is the loop's to close, whatever happens.
        transport, connection = await asyncio.get_running_loop().create_connection(
            self._connection,
            sock=opened,
            ssl=self._ssl,
            server_hostname=host if self._ssl is not None else None,
        )
        tls = transport.get_extra_info("ssl_object")
        if tls is not None and tls.selected_alpn_protocol() not in (None, ALPN_HTTP_1_1):
            connection.abort()
            raise ConnectFailed(
                f"{self.origin.authority} was made to speak another protocol by ALPN"
            )
        return connection

    def _connection(self) -> Connection:
        return Connection(self._bound_pool(), self._timeouts, self._max_header_bytes)
