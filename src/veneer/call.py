"""The call: what a request asks of a model, read once by the first layer that needs it."""

from types import MappingProxyType

import msgspec
from starlette.types import Receive, Scope

from veneer import facts
from veneer.client import BodyTimeoutError, BodyTooLargeError, client_of
from veneer.dialects import Dialect, Kind
from veneer.errors import BODY_LATE, Error
from veneer.facts import RequestFact
from veneer.members import Members, StreamOptions, read_members
from veneer.operations import Body, Operation, endpoint_of
from veneer.stored import refuse_stored
from veneer.wire import fields, splice

# OpenAI takes up to 50 MB of images in a request; a JSON body is held in memory: less by default.
MAX_BODY = 32 * 1024 * 1024

# A name goes into logs and metrics; the longest in the field are paths of fine-tuned models.
MAX_MODEL_NAME = 512


class Call(RequestFact, frozen=True):
    """A request to an operation.

    `model` is None where none is named, or nobody has read it yet: uploads are read only by who
    goes by their model. `include_usage` is what the client asked of a stream, None where it said
    nothing. The others are for estimates of its tokens: `input_bytes` is the JSON text of all that
    the model reads, media and tools included; `output_cap` the most tokens of an answer, None where
    the call says nothing sensible; `choices` how many answers there are to be.
    """

    operation: Operation
    model: str | None = None
    stream: bool = False
    include_usage: bool | None = None
    input_bytes: int = 0
    output_cap: int | None = None
    choices: int = 1


# Bytes of a member beyond which it is not decoded: what we read is short, whatever else is sent.
MAX_MEMBER = 4096

UNSAID = (b"", b"null")
FLAGS = MappingProxyType({b"": False, b"null": False, b"false": False, b"true": True})

NO_NAME = Error(
    Kind.INVALID_VALUE,
    f"'model' is no name: it holds control characters or more than {MAX_MODEL_NAME}.",
    param="model",
)

_options = msgspec.json.Decoder(StreamOptions)
_name = msgspec.json.Decoder(str)


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
    if endpoint.operation.body is Body.JSON:
        return await read_json(endpoint.operation, scope, receive, max_body=max_body, stored=stored)
    call = Call(endpoint.operation)
    facts.put(scope, call)
    return call


async def read_json(
    operation: Operation, scope: Scope, receive: Receive, *, max_body: int, stored: bool = False
) -> Call | Error:
    """Return what a request with a JSON body asks for, as `read_call` does."""
    body = await _read_body(scope, receive, max_body)
    if isinstance(body, Error):
        return body
    dialect = facts.get(scope, Dialect)
    keeps = dialect is None or dialect.keeps_answers
    read = _read_members(operation, body, stored=stored, keeps=keeps)
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


def _read_members(operation: Operation, body: bytes, *, stored: bool, keeps: bool) -> Call | Error:
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return Error(Kind.INVALID_JSON, f"The request body is not UTF-8 (byte {error.start}).")
    try:
        members = read_members(operation.name, body)
        return (None if stored else refuse_stored(members, keeps=keeps)) or _judge(
            operation, members
        )
    except RecursionError:
        return Error(Kind.INVALID_JSON, "The request body is nested too deeply.")
    except splice.DuplicateMemberError as error:
        return Error(
            Kind.INVALID_JSON, f"The member '{error.name}' stands twice.", param=error.name
        )
    except (msgspec.DecodeError, ValueError) as error:
        return Error(Kind.INVALID_JSON, f"The request body is not a JSON object: {error}.")


def is_name(text: str) -> bool:
    """Whether text can be the name of a model."""
    return text.isprintable() and len(text) <= MAX_MODEL_NAME


def _judge(operation: Operation, members: Members) -> Call | Error:
    text = bytes(members.model)
    if text[:1] != b'"' and text not in UNSAID:
        return Error(Kind.INVALID_TYPE, "'model' must be a string.", param="model")
    model = None
    if text not in UNSAID:
        model = _name.decode(text) if len(text) <= MAX_MEMBER else None
        if model is None or not is_name(model):
            return NO_NAME
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
    return Call(
        operation,
        model,
        stream,
        wanted if isinstance(wanted, bool) else None,
        members.input_bytes(),
        members.output_cap(),
        members.choices(),
    )
