"""The call: what a request asks of a model, read once by the first layer that needs it."""

from functools import lru_cache
from types import MappingProxyType

import msgspec
from starlette.types import Receive, Scope

from veneer import facts
from veneer.client import MAX_DIGITS, BodyTimeoutError, BodyTooLargeError, Client, client_of
from veneer.dialects import Dialect, Kind
from veneer.errors import BODY_LATE, Error, unreadable
from veneer.facts import RequestFact
from veneer.members import ABSENT, Members, ResponsesMembers, StreamOptions, read_members
from veneer.operations import Body, Endpoint, Operation, endpoint_of
from veneer.stored import refuse_stored
from veneer.wire import splice
from veneer.wire.fields import is_json, media_type

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

# Names of models that are known to be names.
MAX_REMEMBERED = 256

_JSON = Body.JSON

# The fields that tell whether a body will be read.
DESCRIBING = frozenset([b"content-encoding", b"content-length", b"content-type"])

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
    known = facts.all_in(scope)
    call: Call | None = known.get(Call)
    if call is not None:
        return call
    endpoint = known.get(Endpoint) or endpoint_of(scope)
    if endpoint is None:
        return Error(Kind.UNKNOWN_URL, "Unknown request URL.")
    operation = endpoint.operation
    if operation.body is _JSON:
        return await read_json(operation, scope, receive, max_body=max_body, stored=stored)
    call = known[Call] = Call(operation)
    return call


async def read_json(
    operation: Operation, scope: Scope, receive: Receive, *, max_body: int, stored: bool = False
) -> Call | Error:
    """Return what a request with a JSON body asks for, as `read_call` does."""
    refused = _refused_unread(scope, max_body)
    if refused is not None:
        return refused
    known = facts.all_in(scope)
    client = known.get(Client) or client_of(scope, receive)
    try:
        body = await client.body(max_body)
    except BodyTooLargeError:
        return _too_large(max_body)
    except BodyTimeoutError:
        return BODY_LATE
    dialect = known.get(Dialect)
    read = _read_members(operation, body, stored, dialect is None or dialect.keeps_answers)
    # Not isinstance: the classes of structs take long to say no.
    if type(read) is not Error:
        known[Call] = read
    return read


def _refused_unread(scope: Scope, max_body: int) -> Error | None:
    """Return the error of a request whose fields tell that its body will not be read."""
    headers = {name: value for name, value in scope["headers"] if name in DESCRIBING}
    coding = headers.get(b"content-encoding")
    if coding is not None and coding.strip().lower() not in (b"", b"identity"):
        return Error(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "JSON bodies are read without a Content-Encoding: send this one uncompressed.",
        )
    kind = headers.get(b"content-type")
    if kind is not None and kind != b"application/json" and not is_json(media_type(kind)):
        return Error(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "This operation takes JSON: send Content-Type: application/json.",
        )
    length = headers.get(b"content-length")
    return _too_large(max_body) if length is not None and _is_beyond(max_body, length) else None


def _too_large(limit: int) -> Error:
    return Error(
        Kind.BODY_TOO_LARGE,
        f"The request body is over the limit of {limit} bytes.",
        headers=((b"connection", b"close"),),
    )


def _is_beyond(limit: int, announced: bytes) -> bool:
    """Whether a content-length says more than the limit; Python refuses to read absurd ones."""
    digits = announced if len(announced) <= MAX_DIGITS else announced.lstrip(b"0")
    return digits.isdigit() and (len(digits) > MAX_DIGITS or int(digits) > limit)


def _read_members(operation: Operation, body: bytes, stored: bool, keeps: bool) -> Call | Error:  # noqa: FBT001 - a keyword costs each call, and there is one caller
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            return Error(Kind.INVALID_JSON, f"The request body is not UTF-8 (byte {error.start}).")
    try:
        members = read_members(operation.name, body)
        if not stored and type(members) is ResponsesMembers:
            refused = refuse_stored(members, keeps=keeps)
            if refused is not None:
                return refused
        return _judge(operation, members)
    except RecursionError:
        return Error(Kind.INVALID_JSON, "The request body is nested too deeply.")
    except splice.DuplicateMemberError as error:
        return unreadable(error)
    except (msgspec.DecodeError, ValueError) as error:
        return Error(Kind.INVALID_JSON, f"The request body is not a JSON object: {error}.")


def is_name(text: str) -> bool:
    """Whether text can be the name of a model."""
    return text.isprintable() and len(text) <= MAX_MODEL_NAME


def _judge(operation: Operation, members: Members) -> Call | Error:
    # Most calls leave out most of what may be said, which is all that this looks at then.
    model, stream, wanted = None, False, None
    if members.model is not ABSENT:
        name = _model_of(bytes(members.model)[: MAX_MEMBER + 1])
        if type(name) is Error:
            return name
        model = name
    if members.stream is not ABSENT:
        flag = FLAGS.get(bytes(members.stream))
        if flag is None:
            return Error(Kind.INVALID_TYPE, "'stream' must be true or false.", param="stream")
        stream = flag
    if members.stream_options is not ABSENT:
        options = bytes(members.stream_options)
        if len(options) > MAX_MEMBER:
            return Error(
                Kind.INVALID_VALUE,
                f"'stream_options' is longer than {MAX_MEMBER} bytes.",
                param="stream_options",
            )
        if options[:1] == b"{":
            wanted = _options.decode(options).include_usage
    return Call(
        operation,
        model,
        stream,
        wanted if isinstance(wanted, bool) else None,
        members.input_bytes(),
        members.output_cap(),
        members.choices(),
    )


@lru_cache(MAX_REMEMBERED)
def _model_of(text: bytes) -> str | Error | None:
    """Return the name of a model, or its error, from its text, or as much of that as it takes."""
    if text in UNSAID:
        return None
    if text[:1] != b'"':
        return Error(Kind.INVALID_TYPE, "'model' must be a string.", param="model")
    name = _name.decode(text) if len(text) <= MAX_MEMBER else None
    return NO_NAME if name is None or not is_name(name) else name
