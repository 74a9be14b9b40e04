"""Inputs: bodies and queries of the admin API, read strictly and within bounds."""

import re
from collections.abc import Collection, Mapping
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from starlette.types import Receive, Scope

from veneer import facts
from veneer.client import BodyTimeoutError, BodyTooLargeError, Client, client_of
from veneer.dialects import Kind
from veneer.errors import BODY_LATE, Error
from veneer.keys.fields import FieldError
from veneer.wire import fields, splice

MAX_BODY = 64 * 1024
MAX_SHOWN = 100

T = TypeVar("T", bound=msgspec.Struct)

_CLOSE = ((b"connection", b"close"),)
# Where msgspec says that something is wrong: the first name of the path, or the one that misses.
_AT = re.compile(r"at `\$\.(\w+)|required field `(\w+)`")
_digits = re.compile("[0-9]{1,9}", re.ASCII).fullmatch


async def read_object(scope: Scope, receive: Receive, kind: type[T]) -> T | Error:
    """Return the JSON object in a request's body as a record, or the error that it gets.

    No body is an empty object. Members that the record has not, that stand twice or are of another
    type are refused, as are bodies of more than 64 KiB. Raises `ClientDisconnectedError` where the
    client left before its body was whole.
    """
    body = await _read_body(scope, receive)
    if isinstance(body, Error):
        return body
    try:
        refusal = _refuse_members(body, kind.__struct_fields__)
        return refusal or msgspec.json.decode(body, type=kind)
    except splice.DuplicateMemberError as error:
        return _at(Kind.INVALID_JSON, "'{}' stands twice.", error.name)
    except msgspec.ValidationError as error:
        return _invalid(str(error))
    except (msgspec.DecodeError, ValueError, RecursionError):
        return Error(Kind.INVALID_JSON, "The request body is not a JSON object in UTF-8.")


def read_query(scope: Scope, names: Collection[str]) -> Mapping[str, str] | Error:
    """Return the parameters of a request's query, each of these names at most once."""
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=len(names),
        )
    except ValueError:
        return Error(
            Kind.INVALID_REQUEST,
            f"The query cannot be read: its parameters are {', '.join(names)}, each at most once.",
        )
    query: dict[str, str] = {}
    for name, value in pairs:
        if name not in names:
            return _at(Kind.UNSUPPORTED_PARAMETER, "There is no parameter '{}' here.", name)
        if name in query:
            return _at(Kind.INVALID_VALUE, "'{}' stands twice.", name)
        query[name] = value
    return query


def read_count(query: Mapping[str, str], default: int, most: int) -> int:
    """Return the `limit` of a query; raises `FieldError` unless it is 1 to `most`."""
    digits = query.get("limit", str(default))
    limit = int(digits) if _digits(digits) else 0
    if not 0 < limit <= most:
        raise FieldError("limit", f"limit must be 1 to {most}.")
    return limit


def shown(text: str) -> str:
    """Return a text from outside, short enough and safe to be repeated in messages and logs."""
    text = text[:MAX_SHOWN]
    return text if text.isprintable() else ascii(text)[1:-1]


async def _read_body(scope: Scope, receive: Receive) -> bytes | Error:
    owned = facts.get(scope, Client) is None
    client = client_of(scope, receive)
    try:
        body = await client.body(MAX_BODY)
    except BodyTooLargeError:
        return Error(
            Kind.BODY_TOO_LARGE,
            f"The request body is over the limit of {MAX_BODY} bytes.",
            headers=_CLOSE,
        )
    except BodyTimeoutError:
        return BODY_LATE
    finally:
        if owned:
            client.close()
    if not body:
        return b"{}"
    kind = fields.get(scope["headers"], b"content-type")
    encoding = fields.get(scope["headers"], b"content-encoding") or b"identity"
    if encoding.strip().lower() != b"identity" or (
        kind is not None and not fields.is_json(fields.media_type(kind))
    ):
        return Error(
            Kind.UNSUPPORTED_MEDIA_TYPE,
            "Send JSON with Content-Type: application/json and no Content-Encoding.",
        )
    return body


def _refuse_members(body: bytes, names: Collection[str]) -> Error | None:
    """Return the error for a member that is unknown; raises for one that stands twice."""
    for name, (start, end) in splice.members(body).items():
        if name not in names:
            return _at(Kind.UNSUPPORTED_PARAMETER, "There is no member '{}' here.", name)
        if body[start : start + 1] == b"{":
            splice.members(body[start:end])
    return None


def _invalid(sentence: str) -> Error:
    """Return the error for what msgspec says of a body; it names types and members, no values."""
    found = _AT.search(sentence)
    kind = Kind.INVALID_TYPE if sentence.startswith("Expected") else Kind.INVALID_VALUE
    return Error(kind, f"{sentence}.", param=found and (found[1] or found[2]))


def _at(kind: Kind, sentence: str, name: str) -> Error:
    name = shown(name)
    return Error(kind, sentence.format(name), param=name)
