"""Programs that share a file of recordings.

`python -m tests.idempotency.sqlite_programs NAME PATH` runs one. They print lines of JSON, and what
races begins when it is sent a line.
"""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

from veneer.idempotency.sqlite import SqliteRecordingStore
from veneer.idempotency.store import Claim, Done, Recording

KEYS = [bytes([number]) * 20 for number in range(64)]
FINGERPRINT = b"f" * 20
ANSWER = Recording(200, ((b"x-a", b"b"),), b"answer")


def say(value: object) -> None:
    """Print what the test reads."""
    print(json.dumps(value), flush=True)  # noqa: T201 - the program's answer


async def race(path: str) -> None:
    """Claim every key as soon as the test says so, ten times each, and say which were won."""
    store = SqliteRecordingStore(path, timeout=20)
    async with store.lifespan():
        await store.look(b"")
        say("ready")
        sys.stdin.readline()
        outcomes = await asyncio.gather(
            *(store.claim(key, FINGERPRINT, 30.0) for key in KEYS for _ in range(10))
        )
        keys = [key for key in KEYS for _ in range(10)]
        say([key[0] for key, outcome in zip(keys, outcomes, strict=True) if type(outcome) is Claim])


async def hold(path: str) -> None:
    """Claim a key, and do nothing more."""
    store = SqliteRecordingStore(path)
    outcome = await store.claim(KEYS[0], FINGERPRINT, 30.0)
    assert isinstance(outcome, Claim)
    say(outcome.token)
    await asyncio.sleep(60)


async def work(path: str) -> None:
    """Claim, commit and release, as much as can be, until killed."""
    store = SqliteRecordingStore(path, max_bytes=200_000)

    async def call() -> None:
        while True:
            key = os.urandom(20)
            outcome = await store.claim(key, FINGERPRINT, 30.0)
            assert isinstance(outcome, Claim)
            if key[0] < 50:
                await store.release(key, outcome.token)
            else:
                body = bytes(key[1] * 100)
                await store.commit(key, outcome.token, Recording(200, (), body), 3600.0)

    say("working")
    await asyncio.gather(*(call() for _ in range(8)))


def fork(path: str) -> None:
    """Use a store before a fork, and after it on both sides, and once more in a grandchild."""
    signal.alarm(20)
    store = SqliteRecordingStore(path)

    async def keep(key: bytes) -> None:
        outcome = await store.claim(key, FINGERPRINT, 30.0)
        assert isinstance(outcome, Claim)
        assert await store.commit(key, outcome.token, ANSWER, 3600.0)

    async def seen(*keys: bytes) -> bool:
        return all([await store.look(key) == Done(FINGERPRINT, ANSWER) for key in keys])

    asyncio.run(keep(KEYS[0]))
    child = os.fork()
    if not child:
        inherited = is_open(path)
        asyncio.run(keep(KEYS[1]))
        grandchild = os.fork()
        if not grandchild:
            os._exit(0 if asyncio.run(seen(KEYS[0], KEYS[1])) else 1)
        _, status = os.waitpid(grandchild, 0)
        os._exit(2 * inherited + os.waitstatus_to_exitcode(status))
    asyncio.run(keep(KEYS[2]))
    _, status = os.waitpid(child, 0)
    say([os.waitstatus_to_exitcode(status), asyncio.run(seen(*KEYS[:3]))])


def is_open(path: str) -> bool:
    """Whether this process has the file open."""
    files = Path("/proc/self/fd").iterdir()
    return any(str(file.readlink()).startswith(path) for file in files if file.exists())


def main(name: str, path: str) -> None:
    """Run one of the programs."""
    if name == "fork":
        fork(path)
    else:
        asyncio.run({"race": race, "hold": hold, "work": work}[name](path))


if __name__ == "__main__":
    main(*sys.argv[1:])
