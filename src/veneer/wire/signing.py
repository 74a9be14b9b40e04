"""Signatures of webhooks, as Standard Webhooks 1.0.0 has them.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

import base64
import binascii
import hmac

PREFIX = "whsec_"

# In bytes: 192 bits at least, 512 at most ("Signature scheme").
LEAST = 24
MOST = 64


def key_of(secret: str) -> bytes:
    """Return the key that a secret stands for.

    Raises ValueError for what is none, with a sentence that has no part of it.
    """
    encoded = secret.removeprefix(PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if encoded == secret or not LEAST <= len(key) <= MOST:
        raise ValueError(
            f"The secret has to be {PREFIX} and the base64 of {LEAST} to {MOST} random bytes: "
            "make one with `openssl rand -base64 32`, and put the prefix before it."
        )
    return key


def signature(key: bytes, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: `v1,` and the signature in base64."""
    signed = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    return "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
