"""What a service told of one call: a record that travels on the HTTP response of the call.

There it cannot be taken for that of a concurrent call, and nothing is kept of an answer once its
user lets it go.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from veneer.sdk.receipt import Receipt, parse_receipt
from veneer.sdk.routing import RoutingMetadata, parse_routing_metadata

REQUEST_ID = "x-request-id"

_EXTENSION = "veneer"


class CallMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """What was told of a call: the status and id of its response, its route, and its receipt.

    Of a stream the last two are there once its last event was read. What is not told is None.
    """

    status: int
    request_id: str | None = None
    routing: RoutingMetadata | None = None
    receipt: Receipt | None = None


OnResponse = Callable[[CallMetadata], object]


class CallRecord:
    """The record of one call, which grows with what is told of it."""

    __slots__ = ("_on_response", "_streams", "metadata")

    def __init__(self, response: Any, on_response: OnResponse | None, *, streams: bool) -> None:
        headers = response.headers
        self.metadata = CallMetadata(
            status=response.status_code,
            request_id=headers.get(REQUEST_ID),
            receipt=parse_receipt(None, headers),
        )
        self._on_response = on_response
        self._streams = streams
        response.extensions[_EXTENSION] = self

    def hear(self, data: object) -> None:
        """Take in an answer, or an event of a stream; what is told later replaces the earlier."""
        routing, receipt = parse_routing_metadata(data), parse_receipt(data)
        if routing is not None or receipt is not None:
            told = self.metadata
            self.metadata = msgspec.structs.replace(
                told, routing=routing or told.routing, receipt=receipt or told.receipt
            )
        if not self._streams:
            self.end()

    def end(self) -> None:
        """Say that all was told: the callback is called, once."""
        on_response, self._on_response = self._on_response, None
        if on_response is not None:
            on_response(self.metadata)


def record_of(response: Any) -> CallRecord | None:
    """Return the record on an HTTP response, None where there is none."""
    record = response.extensions.get(_EXTENSION)
    return record if isinstance(record, CallRecord) else None
