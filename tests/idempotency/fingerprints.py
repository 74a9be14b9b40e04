"""Fingerprints for tests."""

from typing import Any

import pytest

from tests.asgi import http_scope
from veneer.idempotency.fingerprint import INLINE, SIZE, fingerprint_of


def of(body: bytes, path: str = "/v1/chat/completions", **more: Any) -> bytes:
    """Return the fingerprint of a short request, for which there is nothing to wait."""
    assert len(body) <= INLINE
    call = fingerprint_of(http_scope("POST", path, **more), body)
    with pytest.raises(StopIteration) as returned:
        call.send(None)
    assert isinstance(returned.value.value, bytes)
    assert len(returned.value.value) == SIZE
    return returned.value.value
