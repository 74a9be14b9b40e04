"""The call: what a request asks of a model, read once by the first layer that needs it."""

from typing import Annotated, Any

import msgspec
from starlette.types import Receive, Scope

from veneer import facts
from veneer.client import (
    BodyTimeoutError,
    BodyTooLargeError,
    ClientDisconnectedError,
    client_of,
)
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import RequestFact
from veneer.operations import Body, Endpoint, Operation, endpoint_of
from veneer.wire import fields, splice

# OpenAI takes up to 50 MB of images in a request; a JSON body is held in memory, so less by default.
MAX_BODY = 32 * 1024 * 1024


class Call(RequestFact, frozen=True):
    """A request to an operation.

    `model` is None where the operation has none or where the body was not read (multipart);
    `include_usage` is what the client asked of a stream, None where it said nothing.
    """

    operation: Operation
    model: str | None = None
    stream: bool = False
    include_usage: bool | None = None


class Members(msgspec.Struct):
    """The members of a body that we read; nobody's type is judged while decoding."""

    model: Any = None
    stream: Any = None
    stream_options: Any = None


class ResponsesMembers(Members):
    """What makes a Responses call depend on, or leave behind, something stored upstream."""

    background: Any = None
    previous_response_id: Any = None
    conversation: Any = None


_members = msgspec.json.Decoder(Members)
_responses_members = msgspec.json.Decoder(ResponsesMembers)


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
    length = 0
    for name, value in scope["headers"]:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            return Error(
                Kind.UNSUPPORTED_MEDIA_TYPE,
                "JSON bodies are read without a Content-Encoding: send this one uncompressed.",
            )
        elif name == b"content-type" and not fields.is_json(fields.media_type(value)):
            return Error(
                Kind.UNSUPPORTED_MEDIA_TYPE,
                "This operation takes JSON: send Content-Type: application/json.",
            )
    too_large = Error(
        Kind.BODY_TOO_LARGE,
        f"The request body is over the limit of {max_body} bytes.",
        headers=((b"connection", b"close"),),
    )
    if length > max_body:
        return too_large
    try:
        return await client_of(scope, receive).body(max_body)
    except BodyTooLargeError:
        return too_large
    except BodyTimeoutError:
        return Error(
            Kind.REQUEST_TIMEOUT,
            "The request body did not arrive in time.",
            headers=((b"connection", b"close"),),
        )


def _read_members(operation: Operation, body: bytes, *, stored: bool) -> Call | Error:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return Error(Kind.INVALID_JSON, f"The request body is not UTF-8 (byte {error.start}).")
    decoder = _responses_members if operation.name == "responses" else _members
    try:
        members = decoder.decode(body)
        _refuse_duplicates(body, decoder.type.__struct_fields__)
    except RecursionError:
        return Error(Kind.INVALID_JSON, "The request body is nested too deeply.")
    except splice.DuplicateMemberError as error:
        return Error(
            Kind.INVALID_JSON, f"The member '{error.name}' stands twice.", param=error.name
        )
    except (msgspec.DecodeError, ValueError) as error:
        return Error(Kind.INVALID_JSON, f"The request body is not a JSON object: {error}.")
    return _refuse_stored(members, body, stored=stored) or _judge(operation, members)


def _refuse_duplicates(body: bytes, names: tuple[str, ...]) -> None:
    """Refuse a member that stands twice: parsers differ in which one they take."""
    if b"\\u" in body or any(body.count(b'"%b"' % name.encode()) > 1 for name in names):
        splice.members(body, frozenset(names))


def _judge(operation: Operation, members: Members) -> Call | Error:
    model = members.model
    if model is not None and not isinstance(model, str):
        return Error(Kind.INVALID_TYPE, "'model' must be a string.", param="model")
    if model is not None and not model.isprintable():
        return Error(Kind.INVALID_VALUE, "'model' holds control characters.", param="model")
    stream = members.stream
    if stream is not None and not isinstance(stream, bool):
        return Error(Kind.INVALID_TYPE, "'stream' must be true or false.", param="stream")
    options = members.stream_options
    wanted = options.get("include_usage") if isinstance(options, dict) else None
    return Call(
        operation,
        model,
        stream is True,
        wanted if isinstance(wanted, bool) else None,
    )


def _refuse_stored(members: Members, body: bytes, *, stored: bool) -> Error | None:
    """Refuse what reads or leaves something behind the upstream's key, which all callers share."""
    if stored or not isinstance(members, ResponsesMembers):
        return None
    for name in ("background", "previous_response_id", "conversation"):
        if getattr(members, name) not in (None, False):
            return Error(
                Kind.UNSUPPORTED_PARAMETER,
                f"'{name}' is not served here: every call carries its whole input.",
                param=name,
            )
    # An item without a type is a reference too, if it has an id and no role.
    if b"item_reference" in body or b'"id"' in body or b"\\u" in body:
        items = msgspec.json.decode(body).get("input")
        for index, item in enumerate(items if isinstance(items, list) else ()):
            kind = item.get("type") if isinstance(item, dict) else ""
            if kind == "item_reference" or (kind is None and "role" not in item):
                return Error(
                    Kind.UNSUPPORTED_PARAMETER,
                    "Items are not stored here: send the item itself.",
                    param=f"input[{index}]",
                )
    return None
