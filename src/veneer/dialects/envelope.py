"""Envelopes: an error as a body, and as the event that ends a stream, around its members."""

from collections.abc import Callable
from typing import Any

import msgspec

from veneer.dialects.dialect import Failure

Members = Callable[[Failure], dict[str, Any]]


def body_of(members: Members) -> Callable[[Failure], bytes]:
    """Return what renders a body: the members in an object that is called `error`."""

    def body(failure: Failure) -> bytes:
        return msgspec.json.encode({"error": members(failure)})

    return body


def event_of(members: Members) -> Callable[[Failure, str], bytes]:
    """Return what renders the event that ends a broken stream of an operation.

    It is the body; in the Responses API it has a name, and its members stand for themselves.
    """
    body = body_of(members)

    def event(failure: Failure, operation: str) -> bytes:
        if operation == "responses":
            flat = {**members(failure), "type": "error", "sequence_number": failure.sequence}
            return b"event: error\ndata: %b\n\n" % msgspec.json.encode(flat)
        return b"data: %b\n\n" % body(failure)

    return event
