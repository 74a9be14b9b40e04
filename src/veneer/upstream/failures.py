"""Failures: what a client is told when an upstream fails; the details go to the log."""

from collections.abc import Mapping
from types import MappingProxyType

from veneer.dialects import Kind
from veneer.errors import Error
from veneer.upstream.transport import (
    BodyMismatch,
    ConnectFailed,
    ConnectTimeout,
    HeaderTimeout,
    MalformedResponse,
    PoolTimeout,
    ReadTimeout,
    TransportError,
    Truncated,
    WriteTimeout,
)

UNREACHABLE = Error(Kind.UPSTREAM_UNREACHABLE, "The model server could not be reached.")
SILENT = Error(Kind.UPSTREAM_TIMEOUT, "The model server did not answer in time.")
INVALID = Error(Kind.UPSTREAM_INVALID, "The model server gave an invalid response.")
INTERRUPTED = Error(Kind.UPSTREAM_INTERRUPTED, "The model server broke off its response.")
REFUSED_KEY = Error(
    Kind.UPSTREAM_REFUSED_KEY, "The model server refused the key that this service has for it."
)
REFUSED_OWN_KEY = Error(Kind.OWN_KEY_REFUSED, "The provider refused the key of your own.")
BUSY = Error(
    Kind.UPSTREAM_BUSY,
    "Too many calls are waiting for the model server. Please try again.",
    headers=((b"retry-after", b"1"),),
)

MISMATCH = Error(
    Kind.INVALID_REQUEST, "The request body was not of the length that its header announced."
)
UNWRITABLE = Error(
    Kind.INVALID_REQUEST, "The request holds what cannot be passed on: look for blanks in its URL."
)

_ERRORS: Mapping[type, Error] = MappingProxyType(
    {
        ConnectFailed: UNREACHABLE,
        ConnectTimeout: SILENT,
        PoolTimeout: BUSY,
        WriteTimeout: SILENT,
        HeaderTimeout: SILENT,
        ReadTimeout: SILENT,
        MalformedResponse: INVALID,
        Truncated: INTERRUPTED,
        BodyMismatch: MISMATCH,
    }
)

# Failures of a call of which nothing was sent; after any other the server may have got it.
UNSENT = (ConnectFailed, ConnectTimeout, PoolTimeout)


def error_for(failure: TransportError) -> Error:
    """Return the error that stands for a transport's failure."""
    kinds = type(failure).__mro__
    return next((_ERRORS[kind] for kind in kinds if kind in _ERRORS), UNREACHABLE)
