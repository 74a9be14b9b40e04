"""The form of an upload: its model is read as soon as it comes, and the rest goes on as it is."""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.call import NO_NAME, Call, is_name, read_json
from veneer.client import BodyTimeoutError, BodyTooLargeError, Client, client_of
from veneer.dialects import Kind
from veneer.errors import BODY_LATE, Error
from veneer.facts import Unreached
from veneer.operations import Operation
from veneer.wire import fields
from veneer.wire.multipart import FieldError, FormError, FormField, boundary_of

# The rest of the body is not read.
CLOSE = ((b"connection", b"close"),)
CODED = Error(
    Kind.UNSUPPORTED_MEDIA_TYPE,
    "Uploads are read without a Content-Encoding: send this one uncompressed.",
    headers=CLOSE,
)
NO_FORM = Error(
    Kind.UNSUPPORTED_MEDIA_TYPE,
    "This operation takes a form: send Content-Type: multipart/form-data, in UTF-8.",
    headers=CLOSE,
)
PLAIN = frozenset([b"", b"identity"])
TORN = Error(Kind.INVALID_REQUEST, "The form ends before its last boundary.")


class Form:
    """A form that goes on once its model is known; `call` is what it asks for."""

    def __init__(self, client: Client, field: FormField, boundary: bytes, call: Call) -> None:
        self._client = client
        self._field = field
        self._boundary = boundary
        self.call = call

    def renamed(self, scope: Scope, model: str) -> Scope:
        """Return the scope of the form with another model; one that names none gets a part."""
        if model == self.call.model:
            return scope
        start, found, name = self._client.start, self._field.found, model.encode()
        if found is None:
            head = b'Content-Disposition: form-data; name="model"'
            start = b"--%b\r\n%b\r\n\r\n%b\r\n%b" % (self._boundary, head, name, start)
        else:
            start = start[: found.start] + name + start[found.end :]
        return self._client.replace_start(scope, start)

    async def pass_on(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Have an app answer; we do, if what it is still to read of the form cannot be read."""
        started = False

        def noting(message: Message) -> Awaitable[None]:
            nonlocal started
            started = True
            return send(message)

        try:
            await app(scope, receive, noting)
        except FormError as error:
            if started:
                raise
            await _refusal(error)(scope, receive, send)


async def read_upload(
    operation: Operation, scope: Scope, receive: Receive, *, most: int, max_body: int
) -> Form | Call | Error:
    """Return the form of an upload, read as far as its model; or what a JSON body asks for instead.

    `most` is how many bytes may come before the model, or be the form that has none; `max_body`
    bounds a JSON body. Raises `ClientDisconnectedError`.
    """
    kinds = fields.get_all(scope["headers"], b"content-type")
    if len(kinds) == 1 and fields.is_json(fields.media_type(kinds[0])):
        return await read_json(operation, scope, receive, max_body=max_body)
    codings = fields.get_all(scope["headers"], b"content-encoding")
    if not PLAIN.issuperset(coding.strip().lower() for coding in codings):
        return CODED
    try:
        boundary = boundary_of(b", ".join(kinds))
    except FormError:
        return NO_FORM
    client, field = client_of(scope, receive), FormField("model", boundary)
    call = await _read_field(scope, client, field, most) or _call(operation, field)
    return call if isinstance(call, Error) else Form(client, field, boundary, call)


async def _read_field(scope: Scope, client: Client, field: FormField, most: int) -> Error | None:
    """Read a form as far as its model; return what is wrong with it."""

    def look(part: bytes) -> None:
        try:
            field.feed(part)
        except FormError:
            # Whoever has it by then has half a form.
            facts.put(scope, Unreached())
            raise

    try:
        await client.inspect(look, until=lambda: field.found is not None, limit=most)
    except BodyTooLargeError:
        return _late(most)
    except BodyTimeoutError:
        return BODY_LATE
    except FormError as error:
        return _refusal(error)
    return TORN if field.found is None and not field.ended else None


def _call(operation: Operation, field: FormField) -> Call | Error:
    if field.found is None:
        return Call(operation)
    try:
        name = field.found.value.decode()
    except UnicodeDecodeError:
        return NO_NAME
    return Call(operation, name) if is_name(name) else NO_NAME


def _late(most: int) -> Error:
    return Error(
        Kind.BODY_TOO_LARGE,
        f"The form has no 'model' in its first {most} bytes: send it before the files.",
        param="model",
        headers=CLOSE,
    )


def _refusal(error: FormError) -> Error:
    if isinstance(error, FieldError):
        return Error(Kind.INVALID_VALUE, str(error), param="model", headers=CLOSE)
    return Error(Kind.INVALID_REQUEST, str(error), headers=CLOSE)
