"""From what OpenAI's client raises to the error that a service meant.

The status decides; an error that comes inside a stream has none, so that its code or type says
which status it would have had. What codes there are is known from the dialects.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from email.utils import parsedate_to_datetime
from types import MappingProxyType

from veneer.dialects import Kind
from veneer.dialects.auriko import FORMS as AURIKO
from veneer.dialects.aurous import FORMS as AUROUS
from veneer.dialects.openai import FORMS as OPENAI
from veneer.sdk import errors
from veneer.sdk.errors import VeneerAPIError
from veneer.sdk.members import member, text

_FORMS = [form for forms in (OPENAI, AUROUS, AURIKO) for form in forms.values()]
_REFUSED = range(400, 600)
_SERVER = 500


def _lowest(pairs: Iterable[tuple[str | None, int]]) -> dict[str, int]:
    """Map words to statuses: of several the lowest, which is the most general."""
    descending = sorted(pairs, key=lambda pair: -pair[1])
    return {word: status for word, status in descending if word is not None}


_OF_CODE: Mapping[str, int] = MappingProxyType(
    {
        **_lowest((form.code, form.status) for form in _FORMS),
        # Codes of Auriko's registry for what our own stack says otherwise.
        "no_provider_available": 503,
        "model_unavailable": 503,
        "stream_duration_exceeded": 504,
    }
)
_OF_TYPE: Mapping[str, int] = MappingProxyType(
    {
        **_lowest((form.type, form.status) for form in _FORMS),
        # Types of OpenAI's and Anthropic's own.
        "not_found_error": 404,
        "permission_error": 403,
        "authentication_error": 401,
        "overloaded_error": 503,
    }
)
_SPENT = frozenset(
    forms[kind].code
    for forms in (OPENAI, AUROUS, AURIKO)
    for kind in (Kind.BUDGET_EXHAUSTED, Kind.BALANCE_TOO_LOW)
) | {"budget_exceeded"}

_OF_STATUS: Mapping[int, type[VeneerAPIError]] = MappingProxyType(
    {
        401: errors.AuthenticationError,
        402: errors.BudgetExhaustedError,
        403: errors.PermissionDeniedError,
        404: errors.NotFoundError,
        408: errors.APITimeoutError,
        409: errors.ConflictError,
        410: errors.NotFoundError,
        429: errors.RateLimitError,
        502: errors.UpstreamError,
        503: errors.UpstreamError,
        504: errors.APITimeoutError,
        529: errors.UpstreamError,
    }
)
# What is raised where there is no answer, by its name: `openai` need not be imported to be asked.
_OF_CLASS: Mapping[str, type[VeneerAPIError]] = MappingProxyType(
    {
        "APITimeoutError": errors.APITimeoutError,
        "APIConnectionError": errors.APIConnectionError,
        # Those of httpx come out of streams as they are, before version 3 of `openai`.
        "TimeoutException": errors.APITimeoutError,
        "TransportError": errors.APIConnectionError,
    }
)


def map_openai_error(failure: object, *, now: Callable[[], float] = time.time) -> VeneerAPIError:
    """Return the typed error for what OpenAI's client raised; it never raises itself.

    It takes every exception of that client, those that come in the middle of a stream, and the
    events by which a stream of the Responses API tells of an error, which the client does not
    raise. An error that is mapped already is returned as it is. `now` is the time in seconds since
    the epoch, for a `retry-after` that is a date.
    """
    if isinstance(failure, VeneerAPIError):
        return failure
    said = _members(failure)
    status = _status(failure, said)
    headers = member(member(failure, "response"), "headers")
    headers = headers if isinstance(headers, Mapping) else {}
    upstream = member(said, "status")
    return _class(failure, said, status)(
        text(said, "message") or text(said, "detail") or text(failure, "message") or str(failure),
        type=None if text(said, "type") == "error" else text(said, "type"),
        code=text(said, "code"),
        param=text(said, "param"),
        status=status,
        upstream_status=upstream if isinstance(upstream, int) else None,
        request_id=text(said, "request_id") or headers.get("x-request-id"),
        retry_after_seconds=_retry_after(headers, now),
        provider=text(said, "provider") or headers.get("x-error-provider"),
        suggestion=text(said, "suggestion"),
        doc_url=text(said, "doc_url"),
    )


def _members(failure: object) -> object:
    """Return what has the members of the error: the client may have unwrapped the envelope."""
    if isinstance(failure, BaseException):
        said = getattr(failure, "body", None)
    else:
        said = member(failure, "response") or failure
    return member(said, "error") or said


def _status(failure: object, said: object) -> int | None:
    """Return the status that refused; some services write it as the code of what they stream."""
    for found in (member(failure, "status_code"), member(said, "code")):
        if isinstance(found, int) and found in _REFUSED:
            return found
    return None


def _class(failure: object, said: object, status: int | None) -> type[VeneerAPIError]:
    for base in type(failure).__mro__:
        if base.__name__ in _OF_CLASS:
            return _OF_CLASS[base.__name__]
    if isinstance(failure, BaseException) and not hasattr(failure, "body"):
        # The client found fault with what was a good answer.
        return VeneerAPIError
    code = text(said, "code") or ""
    kind = text(said, "type") or ""
    if code in _SPENT or kind in _SPENT:
        return errors.BudgetExhaustedError
    meant = status or _OF_CODE.get(code) or _OF_TYPE.get(kind) or _SERVER
    found = _OF_STATUS.get(meant)
    if found is not None:
        return found
    return errors.BadRequestError if meant < _SERVER else errors.InternalServerError


def _retry_after(headers: Mapping[str, str], now: Callable[[], float]) -> float | None:
    """Return seconds, as OpenAI's client understands the fields: milliseconds go first."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return milliseconds / 1000
    told = headers.get("retry-after")
    seconds = _number(told)
    if seconds is not None or told is None:
        return seconds
    try:
        return max(0.0, parsedate_to_datetime(told).timestamp() - now())
    except (ValueError, OverflowError):
        return None


def _number(told: str | None) -> float | None:
    try:
        number = float(told or "")
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None
