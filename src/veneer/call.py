"""The call: what a request asks of a model, read once by the first layer that needs it."""

from types import MappingProxyType
from typing import Any

import msgspec
from starlette.types import Receive, Scope

from veneer import facts
from veneer.client import BodyTimeoutError, BodyTooLargeError, client_of
from veneer.dialects import Kind
from veneer.errors import BODY_LATE, Error
from veneer.facts import RequestFact
from veneer.operations import Body, Operation, endpoint_of
from veneer.wire import fields, splice

# OpenAI takes up to 50 MB of images in a request; a JSON body is held in memory: less by default.
MAX_BODY = 32 * 1024 * 1024

# A name goes into logs and metrics; the longest in the field are paths of fine-tuned models.
MAX_MODEL_NAME = 512

# Items of a Responses call are looked at one by one, and their members where two may be of a name.
MAX_ITEMS = 10_000
MAX_ITEM_MEMBERS = 64


class Call(RequestFact, frozen=True):
    """A request to an operation.

    `model` is None where the operation has none or where the body was not read (multipart);
    `include_usage` is what the client asked of a stream, None where it said nothing.
    """

    operation: Operation
    model: str | None = None
    stream: bool = False
    include_usage: bool | None = None


NULL = msgspec.Raw(b"null")

# Bytes of a member beyond which it is not decoded: what we read is short, whatever else is sent.
MAX_MEMBER = 4096

FLAGS = MappingProxyType({b"null": False, b"false": False, b"true": True})


class Members(msgspec.Struct):
    """The members of a body that we read, as text: their type and size are judged first."""

    model: msgspec.Raw = NULL
    stream: msgspec.Raw = NULL
    stream_options: msgspec.Raw = NULL


class ResponsesMembers(Members):
    """What makes a Responses call depend on, or leave behind, something stored upstream."""

    background: msgspec.Raw = NULL
    previous_response_id: msgspec.Raw = NULL
    conversation: msgspec.Raw = NULL
    input: msgspec.Raw = NULL


class StreamOptions(msgspec.Struct):
    """The member of `stream_options` that we read."""

    include_usage: Any = None


class Item(msgspec.Struct):
    """The members that make an item of a Responses call a reference to a stored one."""

    id: Any = None
    role: Any = None
    type: Any = None


_members = msgspec.json.Decoder(Members)
_responses_members = msgspec.json.Decoder(ResponsesMembers)
_options = msgspec.json.Decoder(StreamOptions)
_name = msgspec.json.Decoder(str)
_items = msgspec.json.Decoder(list[msgspec.Raw])
_item = msgspec.json.Decoder(Item)


QUOTED = MappingProxyType(
    {
        name: b'"%b"' % name.encode()
        for name in (
            *ResponsesMembers.__struct_fields__,
            *Item.__struct_fields__,
            "include_usage",
        )
    }
)


async def read_call(
    scope: Scope, receive: Receive, *, max_body: int = MAX_BODY, stored: bool = False
) -> Call | Error:
    """Return what the request asks for, or the error that it gets; the first to ask reads it.

    `max_body` (bytes) bounds a JSON body; other bodies are not read. `stored` lets Responses calls
    refer to what is stored upstream. Raises `ClientDisconnectedError` where the client left before
    its body was whole.
    """
    call = facts.get(scope, Call)
    if call is not None:
        return call
    endpoint = endpoint_of(scope)
    if endpoint is None:
        return Error(Kind.UNKNOWN_URL, "Unknown request URL.")
    read: Call | Error = Call(endpoint.operation)
    if endpoint.operation.body is Body.JSON:
        body = await _read_body(scope, receive, max_body)
        if isinstance(body, Error):
            return body
        read = _read_members(endpoint.operation, body, stored=stored)
    if isinstance(read, Call):
        facts.put(scope, read)
    return read


async def _read_body(scope: Scope, receive: Receive, max_body: int) -> bytes | Error:
    headers = dict(scope["headers"])
    if headers.get(b"content-encoding", b"").strip().lower() not in (b"", b"identity"):
        return Error(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "JSON bodies are read without a Content-Encoding: send this one uncompressed.",
        )
    kind = headers.get(b"content-type")
    if kind is not None and not fields.is_json(fields.media_type(kind)):
        return Error(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "This operation takes JSON: send Content-Type: application/json.",
        )
    if _is_beyond(max_body, headers.get(b"content-length", b"")):
        return _too_large(max_body)
    try:
        return await client_of(scope, receive).body(max_body)
    except BodyTooLargeError:
        return _too_large(max_body)
    except BodyTimeoutError:
        return BODY_LATE


def _too_large(limit: int) -> Error:
    return Error(
        Kind.BODY_TOO_LARGE,
        f"The request body is over the limit of {limit} bytes.",
        headers=((b"connection", b"close"),),
    )


def _is_beyond(limit: int, announced: bytes) -> bool:
    """Whether a content-length says more than the limit; Python refuses to read absurd ones."""
    digits = announced.lstrip(b"0")
    return digits.isdigit() and (len(digits) > len(str(limit)) or int(digits) > limit)


def _read_members(operation: Operation, body: bytes, *, stored: bool) -> Call | Error:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return Error(Kind.INVALID_JSON, f"The request body is not UTF-8 (byte {error.start}).")
    decoder = _responses_members if operation.name == "responses" else _members
    try:
        members = decoder.decode(body)
        _refuse_duplicates(body, members)
        return (None if stored else _refuse_stored(members)) or _judge(operation, members)
    except RecursionError:
        return Error(Kind.INVALID_JSON, "The request body is nested too deeply.")
    except splice.DuplicateMemberError as error:
        return Error(
            Kind.INVALID_JSON, f"The member '{error.name}' stands twice.", param=error.name
        )
    except (msgspec.DecodeError, ValueError) as error:
        return Error(Kind.INVALID_JSON, f"The request body is not a JSON object: {error}.")


def _refuse_duplicates(
    body: bytes, members: Members | Item, *, most: int = splice.MAX_MEMBERS
) -> None:
    """Raise `DuplicateMemberError` for a member that we read and that stands twice.

    Parsers differ in which of the two they take.
    """
    names = members.__struct_fields__
    if _may_repeat(body, names):
        splice.members(body, frozenset(names), most=most)
    options = bytes(members.stream_options) if isinstance(members, Members) else b""
    if options[:1] == b"{" and _may_repeat(options, ("include_usage",)):
        splice.value(body, ("stream_options", "include_usage"))


def _may_repeat(body: bytes, names: tuple[str, ...]) -> bool:
    """Whether one of these names may stand twice: told by its quoted form, or hidden by escapes."""
    if b"\\u" in body:
        return True
    for name in names:
        quoted = QUOTED[name]
        first = body.find(quoted)
        if first >= 0 and body.find(quoted, first + 1) >= 0:
            return True
    return False


def _judge(operation: Operation, members: Members) -> Call | Error:
    text = bytes(members.model)
    if text[:1] != b'"' and text != b"null":
        return Error(Kind.INVALID_TYPE, "'model' must be a string.", param="model")
    model = None
    if text != b"null":
        model = _name.decode(text) if len(text) <= MAX_MEMBER else None
        if model is None or not (model.isprintable() and len(model) <= MAX_MODEL_NAME):
            return Error(
                Kind.INVALID_VALUE,
                f"'model' is no name: it holds control characters or more than {MAX_MODEL_NAME}.",
                param="model",
            )
    stream = FLAGS.get(bytes(members.stream))
    if stream is None:
        return Error(Kind.INVALID_TYPE, "'stream' must be true or false.", param="stream")
    options = bytes(members.stream_options)
    if len(options) > MAX_MEMBER:
        return Error(
            Kind.INVALID_VALUE,
            f"'stream_options' is longer than {MAX_MEMBER} bytes.",
            param="stream_options",
        )
    wanted = _options.decode(options).include_usage if options[:1] == b"{" else None
    return Call(operation, model, stream, wanted if isinstance(wanted, bool) else None)


def _refuse_stored(members: Members) -> Error | None:
    """Refuse what reads or leaves something behind the upstream's key, which all callers share."""
    if not isinstance(members, ResponsesMembers):
        return None
    for name in ("background", "previous_response_id", "conversation"):
        if bytes(getattr(members, name)) not in (b"null", b"false"):
            return Error(
                Kind.UNSUPPORTED_PARAMETER,
                f"'{name}' is not served here: every call carries its whole input.",
                param=name,
            )
    given = bytes(members.input)
    # An item without a type is a reference too, if it has an id and no role.
    if given[:1] == b"[" and (b"item_reference" in given or b'"id"' in given or b"\\u" in given):
        items = _items.decode(given)
        if len(items) > MAX_ITEMS:
            return Error(
                Kind.INVALID_VALUE, f"'input' has more than {MAX_ITEMS} items.", param="input"
            )
        for index, item in enumerate(items):
            if _is_reference(bytes(item)):
                return Error(
                    Kind.UNSUPPORTED_PARAMETER,
                    "Items are not stored here: send the item itself.",
                    param=f"input[{index}]",
                )
    return None


def _is_reference(text: bytes) -> bool:
    if text[:1] != b"{":
        return False
    item = _item.decode(text)
    _refuse_duplicates(text, item, most=MAX_ITEM_MEMBERS)
    return item.type == "item_reference" or (item.type is None and item.role is None)
