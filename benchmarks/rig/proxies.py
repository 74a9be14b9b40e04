"""The proxies that are compared, each one process: `python -m rig.proxies NAME ORIGIN PORT`.

All but nginx run as `veneer serve` runs: uvicorn with uvloop and httptools, without an access log.
"""

import atexit
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType

import httpx
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rig import nginx
from rig.bare_relay import BareRelay
from rig.completion import CLIENT_KEY, COMPLETION
from rig.processes import Process, free_port, python, running, until_listening
from veneer import (
    AuthMiddleware,
    BudgetPolicy,
    CostMiddleware,
    ErrorMiddleware,
    HeadersMiddleware,
    HeartbeatMiddleware,
    Middleware,
    OperationsMiddleware,
    Principal,
    QuotaPolicy,
    RateLimitMiddleware,
    RelayMiddleware,
    Stack,
    Upstream,
)
from veneer.auth.static import StaticKeys, digest_of
from veneer.ledger.sqlite import SqliteLedger
from veneer.prices.book import PriceBook
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price

# More connections than the load has, and none that expires under it.
LIMITS = httpx.Limits(max_connections=64, max_keepalive_connections=64, keepalive_expiry=60.0)

LABELS: Mapping[str, str] = MappingProxyType(
    {
        "nginx": "nginx as a reverse proxy",
        "hello": "bare ASGI hello, no upstream",
        "bare": "bare relay in Python, no features",
        "upstream": "`Upstream` alone",
        "stack": "the stack around `Upstream`",
        "paid": "the stack with keys, limits, prices, budgets and an SQLite ledger",
        "serve": "`veneer serve`, log lines included",
        "upstream-httpx": "`Upstream` on `httpx.AsyncClient`",
        "httpx": "bare proxy on `httpx.AsyncClient`",
    }
)


async def body_of(receive: Receive) -> bytes:
    """Return the whole body of a request."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if not message.get("more_body", False):
            return body


async def lifespan(receive: Receive, send: Send) -> None:
    """Take part in the lifespan protocol, and do nothing."""
    for event in ("startup", "shutdown"):
        await receive()
        await send({"type": f"lifespan.{event}.complete"})


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer the completion from memory."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    await body_of(receive)
    headers = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(COMPLETION)),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": COMPLETION})


class HttpxProxy:
    """The proxy that one would write in twenty lines: it streams, and drops what it must."""

    def __init__(self, origin: str) -> None:
        self._origin = origin
        self._client = httpx.AsyncClient(limits=LIMITS)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Forward one request."""
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        body = await body_of(receive)
        request = self._client.build_request(
            scope["method"],
            self._origin + scope["path"],
            headers=[
                pair for pair in scope["headers"] if pair[0] not in (b"host", b"content-length")
            ],
            content=body,
        )
        response = await self._client.send(request, stream=True)
        try:
            headers = [
                (name.lower(), value)
                for name, value in response.headers.raw
                if name.lower() not in (b"connection", b"transfer-encoding", b"date", b"server")
            ]
            start: Message = {"type": "http.response.start", "headers": headers}
            await send({**start, "status": response.status_code})
            async for part in response.aiter_raw():
                await send({"type": "http.response.body", "body": part, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            await response.aclose()


def upstream(origin: str) -> ASGIApp:
    """Return `Upstream` alone, with a key of its own, and with the files operation allowed."""
    return Upstream(f"{origin}/v1", api_key="sk-benchmark", allow=["files"])


def upstream_on_httpx(origin: str) -> ASGIApp:
    """Return the same on an httpx client."""
    return Upstream(
        f"{origin}/v1",
        api_key="sk-benchmark",
        allow=["files"],
        client=httpx.AsyncClient(limits=LIMITS),
    )


def stack(origin: str) -> ASGIApp:
    """Return the layers around `Upstream`."""
    layers = [
        Middleware(HeadersMiddleware),
        Middleware(HeartbeatMiddleware),
        Middleware(ErrorMiddleware),
        Middleware(OperationsMiddleware, allow=["files"]),
        Middleware(RelayMiddleware),
    ]
    return Stack(layers, upstream(origin))


def paid(origin: str) -> ASGIApp:
    """Return what a call passes that is asked for its key, limited, and paid for."""
    me = Principal(id="me", team="research", scopes=frozenset({"write"}))
    limits = {
        "above": [QuotaPolicy("1000000/minute", partition="key")],
        "below": [
            QuotaPolicy("1000000000/minute", unit="tokens", partition="key"),
            QuotaPolicy("1000", unit="concurrent-requests", partition="key", name="at-once"),
        ],
    }
    folder = TemporaryDirectory(prefix="veneer-benchmark-")
    atexit.register(folder.cleanup)
    layers = [
        Middleware(HeadersMiddleware),
        Middleware(ErrorMiddleware),
        Middleware(AuthMiddleware, verifier=StaticKeys([(digest_of(CLIENT_KEY), me)])),
        Middleware(RateLimitMiddleware, policies=limits["above"]),
        Middleware(OperationsMiddleware),
        Middleware(RateLimitMiddleware, policies=limits["below"]),
        Middleware(
            CostMiddleware,
            prices=PriceBook([("small-model", Price(input=DOLLAR, output=2 * DOLLAR))]),
            budgets=[BudgetPolicy("1000000"), BudgetPolicy("1000", name="mine", partition="key")],
            ledger=SqliteLedger(Path(folder.name, "ledger.db")),
        ),
        Middleware(RelayMiddleware),
    ]
    return Stack(layers, upstream(origin))


APPS: Mapping[str, Callable[[str], ASGIApp]] = MappingProxyType(
    {
        "hello": lambda _: hello,
        "bare": BareRelay,
        "upstream": upstream,
        "stack": stack,
        "paid": paid,
        "upstream-httpx": upstream_on_httpx,
        "httpx": HttpxProxy,
    }
)


@contextmanager
def proxy(
    name: str,
    origin: str,
    cpus: set[int] | None,
    *,
    buffering: bool = True,
    config: Path | None = None,
) -> Iterator[tuple[str, Process]]:
    """Run one of them before an origin; gives its own origin and its process.

    `buffering` is nginx's: off for streams. `config` is a file for `veneer serve`.
    """
    if name == "nginx":
        with nginx.proxying(origin, cpus, buffering=buffering) as found:
            yield found
        return
    port = free_port()
    if name == "serve":
        key = "env:VENEER_BENCHMARK_KEY"
        command = python(
            *("veneer", "serve", "--upstream", f"{origin}/v1", "--port", str(port)),
            *("--api-key", key, "--no-auth"),
            *([] if config is None else ["--config", str(config)]),
        )
    else:
        command = python("rig.proxies", name, origin, str(port))
    with running(command, cpus) as process:
        until_listening(process, port)
        yield f"http://127.0.0.1:{port}", process


def main(name: str, origin: str, port: str) -> None:
    """Serve one of the apps."""
    uvicorn.run(
        APPS[name](origin),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="auto",
        log_level="error",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        backlog=4096,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
