"""What clients are told of an upstream's failure."""

import pytest

from veneer.dialects import OPENAI
from veneer.upstream.failures import error_for
from veneer.upstream.transport import (
    BodyMismatch,
    ConnectFailed,
    ConnectTimeout,
    HeaderTimeout,
    MalformedResponse,
    PoolTimeout,
    ReadTimeout,
    TransportError,
    Truncated,
    WriteTimeout,
)


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (ConnectFailed, 502, "upstream_unreachable"),
        (ConnectTimeout, 504, "upstream_timeout"),
        (PoolTimeout, 503, "server_is_overloaded"),
        (WriteTimeout, 504, "upstream_timeout"),
        (HeaderTimeout, 504, "upstream_timeout"),
        (ReadTimeout, 504, "upstream_timeout"),
        (MalformedResponse, 502, "upstream_invalid_response"),
        (Truncated, 502, "upstream_interrupted"),
        (BodyMismatch, 400, None),
        (TransportError, 502, "upstream_unreachable"),
    ],
)
def test_each_failure_has_its_status_and_tells_no_details(
    failure: type[TransportError], status: int, code: str | None
) -> None:
    error = error_for(failure("10.0.0.7 said no"))
    form = OPENAI.forms[error.kind]
    assert (form.status, form.code) == (status, code)
    assert "10.0.0.7" not in error.message


def test_a_derived_failure_is_told_like_its_base() -> None:
    class Reset(Truncated):
        """As a transport may have it."""

    assert error_for(Reset()).kind == error_for(Truncated()).kind
