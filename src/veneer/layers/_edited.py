"""Objects of an answer with what layers want changed in them, their other bytes as they were.

What is not the JSON that it should be is an upstream's affair: it stays as it is.
"""

from contextlib import suppress

import msgspec

from veneer.edits import Edits, members_of
from veneer.facts import Usage
from veneer.wire import glance, splice, sse
from veneer.wire.output import output_text

MODEL = b'"model"'

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


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
    if edits.model is not None:
        data = named(data, edits.model, path)
    in_usage = b"" if usage is None else members_of(edits.in_usage, usage)
    at_end = members_of(edits.at_end, usage)
    # A context manager would cost a tenth of the whole.
    try:
        if in_usage:
            data = _with_members(data, (*path, "usage"), in_usage, raw)
        if edits.output_text:
            data = with_output_text(data, path)
        if at_end:
            data = with_end(data, path, at_end)
        if path and edits.beside is not None:
            data = with_end(data, (), edits.beside())
    except ValueError:
        return data
    return data


def with_end(data: bytes, path: tuple[str, ...], members: bytes) -> bytes:
    """Return a text with members at the end of the object at the path, in place of those there.

    An upstream that is a gateway, too, has some of the same names, and one may give null for what
    it does not tell.
    """
    for name in _members(b"{%b}" % members):
        # An escape may hide the name.
        if data.find(b'"%b"' % name.encode()) >= 0 or data.find(b"\\u") >= 0:
            data = splice.remove(data, (*path, name))
    return splice.insert(data, path, members)


def with_output_text(data: bytes, path: tuple[str, ...]) -> bytes:
    """Return a text whose response, at the path, has all of its output's text, as one member."""
    response = splice.value(data, path) if path else data
    text = None if response is None else output_text(response)
    if text is None:
        return data
    return with_end(data, path, b'"output_text":' + msgspec.json.encode(text))


def _with_members(data: bytes, path: tuple[str, ...], members: bytes, raw: bytes | None) -> bytes:
    """Return a text with members in the object at the path, if one is there."""
    # What stands in it once stands where it was found; to look for it costs a walk through all.
    if raw is not None:
        at = data.find(raw)
        end = at + len(raw)
        if at >= 0 and data.find(raw, end) < 0:
            return data[:at] + _joined(raw, members) + data[end:]
    there = splice.value(data, path) or b""
    if there.startswith(b"{"):
        return splice.replace(data, path, _joined(there, members))
    return data


def _joined(raw: bytes, members: bytes) -> bytes:
    """Return the text of an object with members more, which replace those of the same names.

    An upstream that is a gateway, too, has its own word for what the call cost it; a member that
    stood twice would be read as one or the other.
    """
    ours = _members(b"{%b}" % members)
    # An escape may hide a name.
    there = raw.find(b"\\") >= 0
    for name in ours:
        there = there or raw.find(b'"%b"' % name.encode()) >= 0
    if there:
        return msgspec.json.encode({**_members(raw), **ours})
    begin = raw[:-1].rstrip()
    return b"%b%b%b}" % (begin, b"" if begin == b"{" else b",", members)


def named(data: bytes, shown: bytes, path: tuple[str, ...] = ()) -> bytes:
    """Return an object of an answer with the model name to show, where it names one."""
    span = None if path else glance.in_front(data, MODEL)
    if span is not None and data.find(MODEL, span[1]) < 0:
        start, end = span
        return data if data[start:end] == shown else data[:start] + shown + data[end:]
    with suppress(ValueError):
        said = splice.value(data, (*path, "model"))
        if said is not None and said != shown:
            return splice.replace(data, (*path, "model"), shown)
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
