"""Estimates that a tokenizer makes, where a user has one that fits the models."""

import operator
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from veneer.call import Call
from veneer.members import ABSENT
from veneer.quotas.estimate import ESTIMATED, Estimate, Estimator, bound, output_of
from veneer.quotas.media import MAX_OBJECTS, MediaTokens, begins, media_in

# Beyond this many bytes of input it is the bound that counts: nobody else is served meanwhile.
LONGEST = 65_536

# What stands around texts (OpenAI's cookbook): each message, a name in it, and before the answer.
PER_MESSAGE = 3
PER_NAME = 1
PRIMING = 3

Tokenizer = Callable[[str], int]


class Message(msgspec.Struct):
    """What the model reads of a message of a chat, or of an item of a Responses call."""

    role: msgspec.Raw = ABSENT
    content: msgspec.Raw = ABSENT
    output: msgspec.Raw = ABSENT
    name: msgspec.Raw = ABSENT
    arguments: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    summary: msgspec.Raw = ABSENT
    encrypted_content: msgspec.Raw = ABSENT


class Part(msgspec.Struct):
    """The text of a part of a content."""

    text: str | None = None
    refusal: str | None = None


class Body(msgspec.Struct):
    """What the model reads of a request."""

    messages: list[Message] = []
    input: msgspec.Raw = ABSENT
    prompt: msgspec.Raw = ABSENT
    suffix: msgspec.Raw = ABSENT
    instructions: msgspec.Raw = ABSENT
    tools: msgspec.Raw = ABSENT
    functions: msgspec.Raw = ABSENT
    response_format: msgspec.Raw = ABSENT
    text: msgspec.Raw = ABSENT
    prediction: msgspec.Raw = ABSENT


class Texts(msgspec.Struct):
    """The texts of a request, and the tokens around them or given as numbers."""

    texts: list[str] = []
    tokens: int = 0


_body = msgspec.json.Decoder(Body)
_messages = msgspec.json.Decoder(list[Message])
_parts = msgspec.json.Decoder(list[Part])
_string = msgspec.json.Decoder(str)
_prompts = msgspec.json.Decoder(str | list[str | int | list[int]])


def counted(
    tokenizer: Tokenizer,
    *,
    default_output: int = 1024,
    longest: int = LONGEST,
    media: MediaTokens | None = None,
) -> Estimator:
    """Return the estimator that counts texts with `tokenizer`; all else is as for `bound`.

    Messages cost 3 tokens each and 1 for a name, the answer 3 in advance; tools, schemas and calls
    are counted as the JSON text that they are. The tokenizer is called from the event loop: an
    input of more than `longest` bytes, media aside, is not shown to it and estimated by `bound`, as
    is a body of a shape that the API does not have.

    What the tokenizer raises is raised, and ValueError or TypeError for what is no count: whoever
    gave it has to know, and a limit that quietly went by something else would not be theirs. It
    gets texts of any kind (for tiktoken: `encode_ordinary`, lest `<|endoftext|>` raises).
    """
    fallback = bound(default_output=default_output, media=media)
    costs = media or MediaTokens()

    def estimate(call: Call, body: bytes) -> Estimate:
        name = call.operation.name
        if name not in ESTIMATED:
            return Estimate()
        found = media_in(name, body, costs)
        if call.input_bytes - found.size > longest or body.count(b"{") > MAX_OBJECTS:
            return fallback(call, body)
        try:
            read = _read(name, body)
        except (ValueError, RecursionError):
            return fallback(call, body)
        tokens = read.tokens + found.tokens + sum(_count(tokenizer, text) for text in read.texts)
        return Estimate(tokens, output_of(call, default_output))

    return estimate


def _count(tokenizer: Tokenizer, text: str) -> int:
    tokens = operator.index(tokenizer(text))
    if tokens < 0:
        raise ValueError(f"the tokenizer counted {tokens} tokens")
    return tokens


def _read(name: str, body: bytes) -> Texts:
    """Return the texts that this operation has; ValueError for a shape that it has not."""
    read = Texts([])
    given = _body.decode(body)
    rest: tuple[msgspec.Raw, ...] = ()
    if name == "chat.completions":
        read.tokens = PRIMING
        _add_messages(read, given.messages)
        rest = (given.tools, given.functions, given.response_format, given.prediction)
    elif name == "responses":
        read.tokens = PRIMING + PER_MESSAGE * bool(len(given.instructions))
        if begins(given.input, b"["):
            _add_messages(read, _messages.decode(given.input))
        elif len(given.input):
            read.tokens += PER_MESSAGE
            read.texts.append(_string.decode(given.input))
        rest = (given.instructions, given.tools, given.text, given.prompt)
    else:
        _add_prompts(read, given.input if name == "embeddings" else given.prompt)
        if name == "completions":
            rest = (given.suffix,)
    read.texts += [_as_text(raw) for raw in rest if len(raw)]
    return read


def _add_messages(read: Texts, messages: list[Message]) -> None:
    for message in messages:
        read.tokens += PER_MESSAGE + PER_NAME * bool(len(message.name))
        for content in (message.content, message.output, message.summary):
            if begins(content, b"["):
                read.texts += list(_texts(_parts.decode(content)))
            elif begins(content, b'"'):
                read.texts.append(_string.decode(content))
        others = (
            message.role,
            message.name,
            message.arguments,
            message.tool_calls,
            message.function_call,
            message.encrypted_content,
        )
        read.texts += [_as_text(raw) for raw in others if len(raw)]


def _texts(parts: list[Part]) -> Iterator[str]:
    for part in parts:
        if text := part.text or part.refusal:
            yield text


def _add_prompts(read: Texts, raw: msgspec.Raw) -> None:
    if not len(raw) or begins(raw, b"null"):
        return
    prompts: Any = _prompts.decode(raw)
    for prompt in [prompts] if isinstance(prompts, str) else prompts:
        if isinstance(prompt, str):
            read.texts.append(prompt)
        else:
            read.tokens += 1 if isinstance(prompt, int) else len(prompt)


def _as_text(raw: msgspec.Raw) -> str:
    """Return a text as it is meant, anything else as the JSON that it is written in."""
    return _string.decode(raw) if begins(raw, b'"') else bytes(raw).decode()
