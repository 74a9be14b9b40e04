"""Auriko's client before the stack, and what it is to be told of a call to the demo server."""

from typing import Any

from auriko._client import Client

from tests.dialects.served import CHAT, Served

DOCS = "https://docs.auriko.test/errors"
DIALECT = {"name": "auriko", "error_docs": DOCS}


def client_of(stack: Served, key: str | None = None, *, max_retries: int = 0) -> Any:
    """Return a client; whoever made it closes its `_httpx`."""
    return Client(api_key=key or stack.key, base_url=stack.url, max_retries=max_retries)


def check(metadata: Any, *, model: str = CHAT, streamed: bool = False) -> None:
    """Look at the metadata of a call to the demo server."""
    assert metadata is not None
    assert (metadata.provider, metadata.provider_model_id) == ("demo", CHAT)
    assert metadata.model_canonical == model
    assert metadata.routing_strategy == "cost-focus"
    assert metadata.cost.usd > 0
    assert (metadata.ttft_ms is not None) == streamed
    assert metadata.warnings == []
