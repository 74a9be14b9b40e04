"""Hidden models: names of further models that a call has somewhere below its own."""

from collections.abc import Iterable, Iterator

import msgspec

from veneer.members import ABSENT, may_have


class _Body(msgspec.Struct):
    tools: msgspec.Raw = ABSENT
    moderation: msgspec.Raw = ABSENT


_NAMES = (b'"tools"', b'"moderation"')
_decode = msgspec.json.Decoder(_Body).decode
_any = msgspec.json.Decoder().decode


def hidden_models(body: bytes) -> Iterable[str]:
    """Return the names of the models that hosted tools and moderation are to use.

    Of tools that a client runs itself nothing is asked, whatever their parameters are called.
    """
    # Names are not looked for in the text first: that takes longer than to decode so little of it.
    try:
        read = _decode(body)
    except (msgspec.DecodeError, RecursionError):
        # Whoever reads all of it says what is wrong, unless something may be hidden here.
        if may_have(body, _NAMES):
            raise
        return ()
    # Most say neither.
    if read.tools is ABSENT and read.moderation is ABSENT:
        return ()
    return [*_named(bytes(read.tools)), *_named(b"[%b]" % read.moderation)]


def _named(holders: bytes) -> Iterator[str]:
    # An escape may hide the name.
    if holders[:1] != b"[" or (b'"model"' not in holders and b"\\u" not in holders):
        return
    for holder in _any(holders):
        name = holder.get("model") if isinstance(holder, dict) else None
        if isinstance(name, str):
            yield name
