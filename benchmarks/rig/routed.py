"""A router before model servers, `python -m rig.routed PORT ORIGIN...`, and calls through it."""

import asyncio
import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

import uvicorn

from rig.completion import PATH, REQUEST
from rig.processes import free_port, python, running, until_listening
from veneer.routing.preferences import Preferences
from veneer.routing.target import Target
from veneer.upstream.proxy import Upstream
from veneer.upstream.router import Router

BODY = json.dumps({**json.loads(REQUEST), "stream": True}).encode()
CALL = (
    b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    b"Connection: close\r\nContent-Length: %d\r\n\r\n%b"
) % (PATH.encode(), len(BODY), BODY)
DONE = b"data: [DONE]\n\n"

# Seconds that a try may take to its first event; nobody needs a tenth of it.
TRY = 1.0
# Seconds that a client waits.
PATIENCE = 10.0


@contextmanager
def router(
    share: float, targets: int, core: set[int] | None, other: set[int] | None
) -> Iterator[str]:
    """Run a router before as many servers, the first of which fails for this share of its calls."""
    ports = [free_port() for _ in range(targets)]
    port = free_port()
    servers = python("rig.failing", str(share), *map(str, ports))
    origins = [f"http://127.0.0.1:{each}" for each in ports]
    with running(servers, other) as serving:
        for each in ports:
            until_listening(serving, each)
        with running(python("rig.routed", str(port), *origins), core) as process:
            until_listening(process, port)
            yield f"http://127.0.0.1:{port}"


async def first_event(origin: str) -> float | None:
    """Make a call; return the seconds until its first event, None where it was not answered."""
    parts = urlsplit(origin)
    began = time.perf_counter()
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        async with asyncio.timeout(PATIENCE):
            writer.write(CALL)
            seen = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in seen.partition(b"\r\n")[0]:
                return None
            await reader.readuntil(b"data: ")
            seconds = time.perf_counter() - began
            return seconds if DONE in await reader.read() else None
    except (OSError, TimeoutError, asyncio.IncompleteReadError):
        return None
    finally:
        writer.close()


async def load(origin: str, calls: int, *, at_once: int) -> list[float | None]:
    """Make so many calls; return what `first_event` does of each."""
    room = asyncio.Semaphore(at_once)

    async def one() -> float | None:
        async with room:
            return await first_event(origin)

    return await asyncio.gather(*(one() for _ in range(calls)))


def main(port: str, *origins: str) -> None:
    """Serve the router."""
    logging.getLogger("veneer").setLevel(logging.CRITICAL)
    targets = [
        Target(name=f"target-{number}", app=Upstream(f"{origin}/v1"))
        for number, origin in enumerate(origins)
    ]
    uvicorn.run(
        Router(targets, preferences=Preferences(optimize="balanced"), try_timeout=TRY),
        host="127.0.0.1",
        port=int(port),
        loop="uvloop",
        http="httptools",
        ws="none",
        log_level="error",
        access_log=False,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
