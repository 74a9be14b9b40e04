"""The members of a body that we read: found in one decoding, and left as text.

Their type and size are judged first: what is too long to be a name, a flag or a number is not
decoded. None may stand twice, for parsers differ in which of the two they take.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import compress
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.counts import count, is_unsaid, prompts_in, times
from veneer.wire import splice

# A member that is not there; one that is has a byte at least.
ABSENT = msgspec.Raw()

# A member of more bytes is taken out before the names of the others are looked for.
LONG = 256

_COLON = re.compile(rb"[ \t\n\r]*:[ \t\n\r]*").match
_BACKSLASH = ord("\\")


class Members(msgspec.Struct):
    """What is read of every operation; the methods tell what an estimate of its tokens needs."""

    model: msgspec.Raw = ABSENT
    stream: msgspec.Raw = ABSENT
    stream_options: msgspec.Raw = ABSENT

    def input_bytes(self) -> int:
        """Return how much of the body's text the model reads, in bytes."""
        return 0

    def output_cap(self) -> int | None:
        """Return the most tokens of an answer, None where none is given."""
        return None

    def choices(self) -> int:
        """Return how many answers are asked for."""
        return 1


class ChatMembers(Members):
    """Of a chat completion."""

    messages: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    functions: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT
    max_completion_tokens: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT

    def input_bytes(self) -> int:
        """See `Members.input_bytes`."""
        return (
            len(self.messages)
            + len(self.tools)
            + len(self.functions)
            + len(self.response_format)
            + len(self.prediction)
        )

    def output_cap(self) -> int | None:
        """See `Members.output_cap`."""
        # Servers differ in which of the two they know.
        first, second = self.max_completion_tokens, self.max_tokens
        if first is ABSENT:
            return None if second is ABSENT else count(second)
        if is_unsaid(first) or is_unsaid(second):
            return count(second if is_unsaid(first) else first)
        caps = (count(first), count(second))
        return None if None in caps else max(cap for cap in caps if cap)

    def choices(self) -> int:
        """See `Members.choices`."""
        return 1 if self.n is ABSENT else times(self.n)


class CompletionMembers(Members):
    """Of a completion."""

    prompt: msgspec.Raw = ABSENT
    suffix: msgspec.Raw = ABSENT
    max_tokens: msgspec.Raw = ABSENT
    n: msgspec.Raw = ABSENT
    best_of: msgspec.Raw = ABSENT

    def input_bytes(self) -> int:
        """See `Members.input_bytes`."""
        return len(self.prompt) + len(self.suffix)

    def output_cap(self) -> int | None:
        """See `Members.output_cap`."""
        return count(self.max_tokens)

    def choices(self) -> int:
        """Return the answers to each prompt, those included of which only the best are shown."""
        each = max(times(self.n), times(self.best_of))
        return each * prompts_in(bytes(self.prompt))


class ResponsesMembers(Members):
    """Of a Responses call; the first four make it depend on, or leave, something upstream."""

    background: msgspec.Raw = ABSENT
    previous_response_id: msgspec.Raw = ABSENT
    conversation: msgspec.Raw = ABSENT
    store: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    input: msgspec.Raw = ABSENT
    instructions: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    max_output_tokens: msgspec.Raw = ABSENT

    def input_bytes(self) -> int:
        """See `Members.input_bytes`."""
        return (
            len(self.input)
            + len(self.instructions)
            + len(self.tools)
            + len(self.prompt)
            + len(self.text)
        )

    def output_cap(self) -> int | None:
        """See `Members.output_cap`."""
        return count(self.max_output_tokens)


class EmbeddingMembers(Members):
    """Of an embedding."""

    input: msgspec.Raw = ABSENT

    def input_bytes(self) -> int:
        """See `Members.input_bytes`."""
        return len(self.input)


class StreamOptions(msgspec.Struct):
    """The member of `stream_options` that we read."""

    include_usage: Any = None


_DECODERS: Mapping[str, msgspec.json.Decoder[Any]] = MappingProxyType(
    {
        "chat.completions": msgspec.json.Decoder(ChatMembers),
        "completions": msgspec.json.Decoder(CompletionMembers),
        "responses": msgspec.json.Decoder(ResponsesMembers),
        "embeddings": msgspec.json.Decoder(EmbeddingMembers),
        "embeddings.estimate": msgspec.json.Decoder(EmbeddingMembers),
        # These have a prompt and an n like a completion's, and an input like an embedding's.
        "images.generations": msgspec.json.Decoder(CompletionMembers),
        "audio.speech": msgspec.json.Decoder(EmbeddingMembers),
    }
)
_any_members = msgspec.json.Decoder(Members)

_QUOTED = MappingProxyType(
    {
        kind: tuple(b'"%b"' % name.encode() for name in kind.__struct_fields__)
        for kind in (Members, ChatMembers, CompletionMembers, ResponsesMembers, EmbeddingMembers)
    }
)


def read_members(operation: str, body: bytes) -> Members:
    """Return the members of this operation's body.

    Raises ValueError for what is no JSON object, its subclass `DuplicateMemberError` for a member
    that stands twice, and RecursionError.
    """
    members: Members = _DECODERS.get(operation, _any_members).decode(body)
    _refuse_duplicates(body, members)
    return members


def _refuse_duplicates(body: bytes, members: Members) -> None:
    values = msgspec.structs.astuple(members)
    # A member that is not there is empty, and so false.
    there = list(compress(_QUOTED[type(members)], values))
    if len(body) > LONG:
        for quoted, raw in zip(there, filter(None, values), strict=True):
            if len(raw) > LONG:
                body = _without(body, quoted, bytes(raw))
    if may_repeat(body, there):
        splice.members(body, frozenset(members.__struct_fields__))
    if members.stream_options is not ABSENT:
        options = bytes(members.stream_options)
        if options[:1] == b"{" and may_repeat(options, (b'"include_usage"',)):
            splice.members(options, ("include_usage",))


def _without(body: bytes, quoted: bytes, value: bytes) -> bytes:
    """Return the body with 0 for the value of a member, if it is quickly found.

    A quote that no backslash stands before begins a string if letters follow, and a string with a
    colon is a name: so what is taken out is one whole value, and every other name stays.
    """
    at = body.find(quoted)
    colon = None if at < 1 or body[at - 1] == _BACKSLASH else _COLON(body, at + len(quoted))
    if colon is None or not body.startswith(value, colon.end()):
        return body
    return body[: colon.end()] + b"0" + body[colon.end() + len(value) :]


def may_have(body: bytes, names: Iterable[bytes]) -> bool:
    """Whether one of these quoted names may stand anywhere; escapes may hide any."""
    if body.find(_BACKSLASH) >= 0 and body.find(b"\\u") >= 0:
        return True
    for quoted in names:  # noqa: SIM110 - as below
        if body.find(quoted) >= 0:
            return True
    return False


def may_repeat(body: bytes, names: Iterable[bytes]) -> bool:
    """Whether one of these quoted names may stand twice; escapes may hide any."""
    # Not `in`: for bytes, that raises and drops an exception, which costs more than the search.
    if body.find(_BACKSLASH) >= 0 and body.find(b"\\u") >= 0:
        return True
    # Not a generator: most calls come by here.
    for quoted in names:  # noqa: SIM110 - as said
        if body.count(quoted) > 1:
            return True
    return False
