"""What the auth layer refuses at the start, and what it can refuse only when it meets it."""

import logging
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope
from veneer.auth.static import StaticKeys, digest_of
from veneer.facts import Principal
from veneer.layer import Layer
from veneer.layers.auth import AuthMiddleware
from veneer.wiring import ConfigurationError


class Unlisted:
    """A verifier that, like a store, does not say beforehand whom it knows."""

    async def verify(self, _credential: str) -> Principal:
        """Return the same principal for every credential."""
        return HELD


class Enforcing(Layer):
    """A layer that holds callers to their models."""

    enforces = ("models",)


async def ask(layer: AuthMiddleware) -> Exchange:
    return await Exchange(http_scope(headers=[(b"api-key", b"k")])).run(layer)


HELD = Principal(id="held", scopes=frozenset({"write"}), models=("gpt-*",))


async def test_keys_held_to_models_need_a_layer_that_enforces_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    static = StaticKeys([(digest_of("k"), HELD)])
    with pytest.raises(ConfigurationError, match="'held' is held to models, which no layer below"):
        AuthMiddleware(Responder(b"{}"), verifier=static)
    enforced = AuthMiddleware(Layer(Enforcing(Responder(b"{}"))), verifier=static)
    assert (await ask(enforced)).status == 200

    with caplog.at_level(logging.ERROR, "veneer.auth"):
        answer = await ask(AuthMiddleware(Responder(b"{}"), verifier=Unlisted()))
    assert answer.status == 403
    assert answer.json()["error"]["code"] == "permission_denied"
    assert "the key held is held to models" in caplog.text


@pytest.mark.parametrize(
    "options",
    [
        {"credentials": ["two words"]},
        {"public": ["docs"]},
        {"admin": ["*"]},
        {"trusted_proxies": ["proxy"]},
        {"verifier": StaticKeys([(digest_of("k"), Principal(id="a", scopes=frozenset({"all"})))])},
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"'(two words|docs|\*|proxy|all)'"):
        AuthMiddleware(Responder(b"{}"), **{"verifier": Unlisted(), **options})
