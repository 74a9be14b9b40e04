"""Calls as estimators get them."""

import json
from typing import Any

from veneer.call import Call
from veneer.members import read_members
from veneer.operations import FIXED


def call_of(path: str, body: Any) -> tuple[Call, bytes]:
    """Return the call with this body to the operation at `path`, and the bytes of the body."""
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    operation = FIXED[path]
    members = read_members(operation.name, text)
    call = Call(
        operation,
        input_bytes=members.input_bytes(),
        output_cap=members.output_cap(),
        choices=members.choices(),
    )
    return call, text
