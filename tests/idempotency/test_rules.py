"""Which answers are kept, and what of them."""

from typing import Any

import msgspec
import pytest

from veneer.facts import Relayed
from veneer.idempotency.recorder import Landing
from veneer.idempotency.rules import Rules, lasting

RULES = Rules(
    in_flight="follow",
    keep="success",
    ttl=1.0,
    lease=1.0,
    detach=1.0,
    max_answer=1,
    on_failure="closed",
)
FAILED = b'event: response.failed\ndata: {"type": "response.failed","response":{}}\n\n'
TOLD = b'data: {"delta":"\\"type\\":\\"response.failed\\""}\n\n'
DONE = b'data: {"type":"response.completed"}\n\n'


def landing(body: bytes | None, *, stream: bool = True, status: int = 200) -> Landing:
    return Landing(status=status, headers=(), body=body, stream=stream)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (DONE, True),
        (FAILED, False),
        (DONE + FAILED + b"\n", False),
        (FAILED + DONE, True),
        (TOLD, True),
        (None, True),
        (b"", True),
    ],
)
def test_a_response_that_failed_is_not_kept(body: bytes | None, *, kept: bool) -> None:
    whole: dict[type, Any] = {Relayed: Relayed(stream=True, observed=True, complete=True)}
    assert RULES.keeps(landing(body), whole) == kept
    assert RULES.keeps(landing(body), {}) == kept
    assert RULES.keeps(landing(body, stream=False), whole)


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        (b'{"error":{"message":"overloaded"}}', False),
        (b'{"error":"overloaded"}', False),
        (b'{"object":"response","status":"failed","error":{"code":"server_error"}}', False),
        (b'{"object":"response","status":"completed","error":null}', True),
        (b'{"choices":[{"message":{"error":{"message":"told"}}}]}', True),
        (b'{"error":7}', True),
        (b'["error"]', True),
        (b'no JSON: "error"', True),
        (b'{"error":{"message":"' + b"x" * 65536 + b'"}}', True),
    ],
)
def test_an_error_with_the_status_of_an_answer_is_not_kept(body: bytes, *, kept: bool) -> None:
    whole: dict[type, Any] = {Relayed: Relayed(stream=False, observed=True, complete=True)}
    every = msgspec.structs.replace(RULES, keep="answers")
    assert RULES.keeps(landing(body, stream=False), whole) == kept
    assert every.keeps(landing(body, stream=False), whole)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("observed", [True, False])
@pytest.mark.parametrize("complete", [True, False])
def test_a_stream_has_to_be_seen_and_all_has_to_be_whole(
    *, stream: bool, observed: bool, complete: bool
) -> None:
    # The relay takes a stream that it cannot read for something else than a stream.
    relayed = Relayed(stream=stream and observed, observed=observed, complete=complete)
    known: dict[type, Any] = {Relayed: relayed}
    assert RULES.keeps(landing(b"", stream=stream), known) == (
        complete and (observed or not stream)
    )


def test_fields_of_one_request_or_connection_do_not_last() -> None:
    own = [b"date", b"x-request-id", b"set-cookie", b"connection", b"transfer-encoding", b"age"]
    own += [b"x-ratelimit-limit-tokens", b"ratelimit-policy", b"server-timing"]
    kept = [(b"content-type", b"a"), (b"cache-control", b"no-cache"), (b"retry-after", b"1")]
    assert lasting([*((name, b"1") for name in own), *kept], {}) == kept
