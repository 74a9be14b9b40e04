"""Signatures of webhooks, as Standard Webhooks has them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.signing import key_of, signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_the_signature_is_the_one_of_the_reference_implementation() -> None:
    """Its own test vector, which all of its libraries share."""
    signed = signature(
        key_of(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
    )
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@given(st.binary(min_size=24, max_size=64))
def test_a_secret_stands_for_its_bytes(key: bytes) -> None:
    assert key_of("whsec_" + base64.b64encode(key).decode()) == key


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "whsk_" + SECRET.removeprefix("whsec_"),
        SECRET[:-4],
        SECRET[:-1],
        SECRET + "!",
        SECRET + "\u00e9",
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_what_is_no_secret_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(ValueError, match="has to be whsec_ and the base64 of 24 to 64") as caught:
        key_of(secret)
    assert "MfKQ9r8GKY" not in str(caught.value)
