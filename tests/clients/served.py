"""The whole stack on a socket, before a demo server on another: what the clients here call."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from tests.listening import listening
from veneer.auth.static import digest_of
from veneer.config import build, parse
from veneer.demo import DEFAULT_MODELS, DemoServer

# Names that clients know of themselves; the stack serves two of them, for models of other names.
CHAT = "gpt-4o-mini"
EMBEDDING = "text-embedding-3-small"
UNKNOWN = "gpt-4"

_DEMO_CHAT, _DEMO_EMBEDDING, _ = (model.id for model in DEFAULT_MODELS)
_LIMITED = tuple(f"sk-limited-{number}" for number in range(20))


class Served:
    """Where the stack is served, and the keys that it knows."""

    key = "sk-some"
    wrong_key = "sk-nobody-has-it"
    # Its budget is spent by any call.
    poor_key = "sk-poor"
    # May have a request a second.
    slow_key = "sk-slow"

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}/v1"
        self._limited = iter(_LIMITED)

    def limited_key(self) -> str:
        """Return a key that has one request a day, and has had none."""
        return next(self._limited)


@contextlib.contextmanager
def served() -> Iterator[Served]:
    """Serve the stack while inside."""
    with (
        listening(DemoServer()) as upstream,
        listening(build(parse(_settings(f"http://127.0.0.1:{upstream}/v1")))) as port,
    ):
        yield Served(port)


def _settings(upstream: str) -> dict[str, Any]:
    return {
        "upstream": {"url": upstream},
        "auth": {"keys": [_key(Served.key), *_special_keys()]},
        "catalog": {
            "models": [
                {"id": _DEMO_CHAT, "kind": "chat", "aliases": [CHAT]},
                {"id": _DEMO_EMBEDDING, "kind": "embedding", "aliases": [EMBEDDING]},
            ]
        },
        "ratelimit": {
            # A machine that is busy elsewhere is no reason to count without.
            "timeout": 10.0,
            "policies": [
                {"limit": "10000/day"},
                {"unit": "tokens", "limit": "10000000/day"},
                {"unit": "concurrent-requests", "limit": 64},
            ],
        },
        "prices": {"models": [{"model": "*", "input": "0.15", "output": "0.60"}]},
        "budgets": [{"limit": "100", "partition": "key", "name": "allowance"}],
    }


def _special_keys() -> Iterator[dict[str, Any]]:
    yield _key(Served.poor_key, budgets={"allowance": "0.00000001"})
    yield _key(Served.slow_key, limits={"requests": "1/second"})
    yield from map(_key, _LIMITED, itertools.repeat({"requests": "1/day"}))


def _key(
    key: str, limits: dict[str, str] | None = None, budgets: dict[str, str] | None = None
) -> dict[str, Any]:
    return {
        "id": key.removeprefix("sk-"),
        "digest": digest_of(key),
        "limits": limits or {},
        "budgets": budgets or {},
    }
