"""The name of a call's model, replaced in its body and nowhere else."""

import msgspec

from veneer.wire import glance, splice


def renamed(body: bytes, name: str, *, named: bool) -> bytes:
    """Return the body of a call with another model; `named` is whether it names one.

    The body is one that has been read: it names its model once. Raises ValueError as `splice` does.
    """
    value = msgspec.json.encode(name)
    span = glance.outermost(body, b'"model"') if named else None
    if span is None:
        return splice.set_member(body, (), "model", value)
    return body[: span[0]] + value + body[span[1] :]
