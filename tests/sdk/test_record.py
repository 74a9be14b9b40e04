"""The record of a call: what it takes in, and when it says that all was told."""

from decimal import Decimal

import httpx2
from hypothesis import given
from hypothesis import strategies as st

from tests.sdk.test_routing import REQUIRED
from veneer.sdk import CallMetadata, Receipt, RoutingMetadata
from veneer.sdk.record import CallRecord, record_of

ROUTED = {"routing_metadata": REQUIRED}
PAID = {"usage": {"cost": 3}}
ROUTING = RoutingMetadata(**REQUIRED)
RECEIPT = Receipt(total=Decimal(3), unit="usd")


def response(**headers: str) -> httpx2.Response:
    fields = {name.replace("_", "-"): told for name, told in headers.items()}
    return httpx2.Response(200, headers=fields)


def test_it_begins_with_what_the_headers_say() -> None:
    answer = response(x_request_id="req_1", x_cost_usd="3")
    record = CallRecord(answer, None, streams=False)
    assert record.metadata == CallMetadata(status=200, request_id="req_1", receipt=RECEIPT)
    assert record_of(answer) is record
    assert record_of(response()) is None


@given(st.lists(st.sampled_from([{}, ROUTED, PAID, {"usage": None}, {"choices": []}])))
def test_what_was_told_once_stays_told(events: list[dict[str, object]]) -> None:
    record = CallRecord(response(), None, streams=True)
    for event in events:
        record.hear(event)
    assert record.metadata.routing == (ROUTING if ROUTED in events else None)
    assert record.metadata.receipt == (RECEIPT if PAID in events else None)


def test_what_is_told_later_replaces_the_earlier() -> None:
    record = CallRecord(response(x_cost_usd="1"), None, streams=True)
    record.hear(PAID)
    assert record.metadata.receipt == RECEIPT


def test_a_stream_ends_once_and_a_body_when_it_is_heard() -> None:
    told: list[CallMetadata] = []
    stream = CallRecord(response(), told.append, streams=True)
    stream.hear(PAID)
    assert told == []
    stream.end()
    stream.end()
    assert told == [CallMetadata(status=200, receipt=RECEIPT)]
    body = CallRecord(response(), told.append, streams=False)
    body.hear(ROUTED)
    body.hear(ROUTED)
    assert told[1:] == [CallMetadata(status=200, routing=ROUTING)]
