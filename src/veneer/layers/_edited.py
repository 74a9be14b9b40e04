"""Objects of an answer with what layers want changed in them, their other bytes as they were.

What is not the JSON that it should be is an upstream's affair: it stays as it is.
"""

from contextlib import suppress

from veneer.edits import Edits
from veneer.facts import Usage
from veneer.wire import splice, sse

# What a layer gives for an answer that has none; the upstream's null is not to stand beside it.
USAGE = b'"usage":'


def edited(
    data: bytes,
    edits: Edits,
    usage: Usage | None,
    path: tuple[str, ...] = (),
    raw: bytes | None = None,
) -> bytes:
    """Return the last object of an answer with every edit; it stands at the path in its text.

    `raw` is the text of its usage, where that is known.
    """
    in_usage = b"" if usage is None else edits.usage_members(usage)
    at_end = edits.end_members(usage)
    with suppress(ValueError):
        if in_usage:
            data = _with_members(data, (*path, "usage"), in_usage, raw)
        data = named(data, edits, path)
        if usage is None and USAGE in at_end:
            data = splice.remove(data, (*path, "usage"))
        if at_end:
            data = splice.insert(data, path, at_end)
    return data


def _with_members(data: bytes, path: tuple[str, ...], members: bytes, raw: bytes | None) -> bytes:
    """Return a text with members added to the object at the path, if one is there."""
    # What stands in it once stands where it was found; to look for it costs a walk through all.
    if raw is not None and raw[1:].lstrip()[:1] == b'"' and data.count(raw) == 1:
        return data.replace(raw, b"%b,%b}" % (raw[:-1].rstrip(), members))
    if (splice.value(data, path) or b"").startswith(b"{"):
        return splice.insert(data, path, members)
    return data


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
