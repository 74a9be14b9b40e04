"""Objects of an answer with what layers want changed in them, their other bytes as they were.

What is not the JSON that it should be is an upstream's affair: it stays as it is.
"""

from contextlib import suppress

from veneer.edits import Edits
from veneer.facts import Usage
from veneer.wire import splice, sse

# What a layer gives for an answer that has none; the upstream's null is not to stand beside it.
USAGE = b'"usage":'


def edited(data: bytes, edits: Edits, usage: Usage | None, path: tuple[str, ...] = ()) -> bytes:
    """Return the last object of an answer with every edit; it stands at the path in its text."""
    in_usage = b"" if usage is None else edits.usage_members(usage)
    at_end = edits.end_members(usage)
    whole = named(data, edits, path)
    with suppress(ValueError):
        if in_usage and (splice.value(whole, (*path, "usage")) or b"").startswith(b"{"):
            whole = splice.insert(whole, (*path, "usage"), in_usage)
        if usage is None and USAGE in at_end:
            whole = splice.remove(whole, (*path, "usage"))
        if at_end:
            whole = splice.insert(whole, path, at_end)
    return whole


def named(data: bytes, edits: Edits, path: tuple[str, ...] = ()) -> bytes:
    """Return an object of an answer with the model name to show, where it names one."""
    if edits.model is not None:
        with suppress(ValueError):
            if splice.value(data, (*path, "model")) is not None:
                return splice.replace(data, (*path, "model"), edits.model)
    return data


def with_usage(data: bytes, usage: bytes) -> bytes:
    """Return a chunk with this usage object."""
    with suppress(ValueError):
        return splice.set_member(data, (), "usage", usage)
    return data


def without_usage(event: bytes, data: bytes) -> bytes:
    """Return a chunk without the null that stands for usage to come."""
    plain = event.replace(b',"usage":null', b"", 1)
    if plain != event:
        return plain
    with suppress(ValueError):
        if splice.value(data, ("usage",)) == b"null":
            return sse.replace_data(event, splice.remove(data, ("usage",)))
    return event
