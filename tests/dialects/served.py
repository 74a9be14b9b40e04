"""The stack of a dialect on a socket, before a demo server on another, for real clients."""

import contextlib
import itertools
from collections.abc import Iterator
from typing import Any

from tests.listening import listening
from veneer.auth.static import digest_of
from veneer.config import build, parse
from veneer.demo import DEFAULT_MODELS, DemoServer

CHAT, EMBEDDING, _ = (model.id for model in DEFAULT_MODELS)
# The name that clients know the model by.
ALIAS = "gpt-4o-mini"
CAPABILITIES = [
    "tools",
    "tool_choice_required",
    "vision",
    "json_object",
    "json_schema",
    "streaming",
]
SAYS_HELLO: Any = [{"role": "user", "content": "Hello!"}]

_LIMITED = tuple(f"al_test_limited_{number}" for number in range(10))


class Served:
    """Where the stack is served, and the keys that it knows."""

    key = "al_test_some"
    wrong_key = "al_test_nobody_has_it"
    # Its balance is spent by any call, and so is the other's budget of a day.
    poor_key = "al_test_poor"
    spent_key = "al_test_spent"

    def __init__(self, port: int) -> None:
        self.root = f"http://127.0.0.1:{port}"
        self.url = f"{self.root}/v1"
        self._limited = iter(_LIMITED)

    def limited_key(self) -> str:
        """Return a key that has one request a minute, and has had none."""
        return next(self._limited)


@contextlib.contextmanager
def served(dialect: dict[str, Any], **tables: Any) -> Iterator[Served]:
    """Serve the stack while inside; `tables` are further ones of its configuration."""
    with listening(DemoServer()) as upstream:
        settings = {"dialect": dialect, **_settings(upstream), **tables}
        with listening(build(parse(settings))) as port:
            yield Served(port)


def _settings(upstream: int) -> dict[str, Any]:
    return {
        "upstream": {"url": f"http://127.0.0.1:{upstream}/v1", "name": "demo"},
        "log": {"enabled": False},
        "auth": {"keys": [_key(Served.key, scopes=["read", "write"]), *_special_keys()]},
        "operations": {"max_body": 100_000},
        "catalog": {
            "models": [
                {
                    "id": CHAT,
                    "kind": "chat",
                    "aliases": [ALIAS],
                    "context_window": 128_000,
                    "capabilities": CAPABILITIES,
                },
                {"id": EMBEDDING, "kind": "embedding", "dimensions": [1536]},
            ]
        },
        "ratelimit": {
            # A machine that is busy elsewhere is no reason to count without.
            "timeout": 10.0,
            "policies": [
                {"limit": "600/minute", "partition": "key"},
                {"unit": "tokens", "limit": "10000000/minute", "partition": "key"},
            ],
        },
        "prices": {"models": [{"model": "*", "input": "0.15", "output": "0.60"}]},
        "budgets": [
            {
                "limit": "100",
                "partition": "key",
                "period": "total",
                "name": "balance",
                "disclosed": True,
            },
            {"limit": "50", "partition": "key", "period": "day", "name": "day", "disclosed": True},
        ],
    }


def _special_keys() -> Iterator[dict[str, Any]]:
    yield _key(Served.poor_key, budgets={"balance": "0.00000001"})
    yield _key(Served.spent_key, budgets={"day": "0.00000001"})
    yield from map(_key, _LIMITED, itertools.repeat({"requests": "1/minute"}))


def _key(key: str, limits: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "id": key.removeprefix("al_test_"),
        "digest": digest_of(key),
        "limits": limits or {},
        **more,
    }
