"""Foreign errors: those of upstreams, which speak OpenAI's way, by our own kinds."""

from http import HTTPStatus
from types import MappingProxyType
from typing import Any

from veneer.dialects.kinds import Kind
from veneer.dialects.openai import FORMS

BY_STATUS = MappingProxyType(
    {
        400: Kind.INVALID_REQUEST,
        401: Kind.AUTHENTICATION,
        403: Kind.PERMISSION,
        404: Kind.NOT_FOUND,
        405: Kind.METHOD_NOT_ALLOWED,
        408: Kind.REQUEST_TIMEOUT,
        409: Kind.CONFLICT,
        413: Kind.BODY_TOO_LARGE,
        415: Kind.UNSUPPORTED_MEDIA_TYPE,
        422: Kind.UNPROCESSABLE,
        429: Kind.REQUESTS_LIMITED,
        500: Kind.INTERNAL,
        502: Kind.UPSTREAM_INVALID,
        503: Kind.UPSTREAM_BUSY,
        504: Kind.UPSTREAM_TIMEOUT,
    }
)

# By the status and the code; of kinds that look the same the first counts.
_BY_CODE = MappingProxyType(
    {
        (form.status, form.code): kind
        for kind, form in reversed(list(FORMS.items()))
        if form.code is not None
    }
)


def kind_of(status: int, code: Any = None) -> Kind:
    """Return the kind of an error that has this status, and its code if that is known."""
    found = _BY_CODE.get((status, code)) if isinstance(code, str) else None
    if found is not None:
        return found
    if status in BY_STATUS:
        return BY_STATUS[status]
    is_server = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Kind.INTERNAL if is_server else Kind.INVALID_REQUEST


def kind_in_stream(code: Any) -> Kind:
    """Return the kind of an error that a stream ends with, which has no status."""
    kinds = (kind for (_, known), kind in _BY_CODE.items() if known == code)
    return next(kinds, Kind.UPSTREAM_INTERRUPTED)
