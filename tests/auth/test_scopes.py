"""Scopes: who may ask what."""

import pytest

from tests.asgi import http_scope
from veneer.auth import scopes
from veneer.dialects import Kind
from veneer.facts import Principal


def may(scope: str, method: str, path: str = "/v1/chat/completions") -> bool:
    principal = Principal(id="a", scopes=frozenset({scope}))
    found = scopes.refusal(http_scope(method, path), principal)
    assert found is None or found.kind is Kind.SCOPE_MISSING
    return found is None


@pytest.mark.parametrize(
    ("scope", "methods"),
    [
        ("read", {"GET", "HEAD", "OPTIONS"}),
        ("write", {"GET", "HEAD", "OPTIONS", "POST"}),
        ("full", {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "BREW"}),
        ("admin", set()),
        ("other", set()),
    ],
)
def test_a_scope_allows_its_methods(scope: str, methods: set[str]) -> None:
    every = {"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "BREW"}
    assert {method for method in every if may(scope, method)} == methods


def test_no_scope_allows_nothing() -> None:
    found = scopes.refusal(http_scope("GET"), Principal(id="a"))
    assert found is not None
    assert found.message == "This key may not do that: it lacks the scope 'read'."


def test_a_websocket_is_a_call() -> None:
    websocket = {"type": "websocket", "path": "/v1/realtime"}
    reader = Principal(id="a", scopes=frozenset({"read"}))
    writer = Principal(id="a", scopes=frozenset({"write"}))
    assert scopes.refusal(websocket, reader) is not None
    assert scopes.refusal(websocket, writer) is None


def test_operations_narrow_what_the_scopes_allow() -> None:
    held = Principal(
        id="a", scopes=frozenset({"write"}), operations=frozenset({"embeddings", "/rerank"})
    )

    def passes(method: str, path: str) -> bool:
        return scopes.refusal(http_scope(method, path), held) is None

    assert passes("POST", "/v1/embeddings")
    assert passes("POST", "/embeddings/")
    assert passes("POST", "/v1/rerank")
    assert not passes("POST", "/v1/chat/completions")
    assert not passes("DELETE", "/v1/embeddings")
    assert not passes("POST", "/v1/reranker")
    assert not passes("GET", "/somewhere/else")
    assert not passes("POST", "/v1/embeddings/../chat/completions")


def test_admin_is_a_scope_of_its_own() -> None:
    assert scopes.admin_refusal(Principal(id="a", scopes=frozenset({"admin"}))) is None
    assert scopes.admin_refusal(Principal(id="a", scopes=frozenset({"full"}))) is not None


def test_slips_in_keys_are_found_at_the_start() -> None:
    scopes.check(
        Principal(id="a", scopes=scopes.SCOPES, operations=frozenset({"models", "/rerank"}))
    )
    with pytest.raises(ValueError, match="the scope 'wirte': there are admin, full, read, write"):
        scopes.check(Principal(id="a", scopes=frozenset({"wirte"})))
    with pytest.raises(ValueError, match="held to the operation 'chat'"):
        scopes.check(Principal(id="a", operations=frozenset({"chat"})))
