"""The kinds of failure that layers speak of; each dialect has its own words for every one."""

from enum import Enum, auto


class Kind(Enum):
    """What went wrong, without how it is said."""

    INVALID_JSON = auto()
    INVALID_REQUEST = auto()
    INVALID_TYPE = auto()
    INVALID_VALUE = auto()
    UNSUPPORTED_PARAMETER = auto()
    AUTHENTICATION = auto()
    KEY_MISSING = auto()
    KEY_MALFORMED = auto()
    KEY_UNKNOWN = auto()
    KEY_REVOKED = auto()
    KEY_EXPIRED = auto()
    KEY_NOT_YET_VALID = auto()
    KEYS_UNAVAILABLE = auto()
    TOO_MANY_ATTEMPTS = auto()
    SCOPE_MISSING = auto()
    PERMISSION = auto()
    UNKNOWN_URL = auto()
    NOT_FOUND = auto()
    NOT_SERVED = auto()
    METHOD_NOT_ALLOWED = auto()
    REQUEST_TIMEOUT = auto()
    CONFLICT = auto()
    BODY_TOO_LARGE = auto()
    UNSUPPORTED_MEDIA_TYPE = auto()
    UNPROCESSABLE = auto()
    RATE_LIMITED = auto()
    INTERNAL = auto()
    UPSTREAM_UNREACHABLE = auto()
    UPSTREAM_INVALID = auto()
    UPSTREAM_REFUSED_KEY = auto()
    UPSTREAM_TIMEOUT = auto()
    UPSTREAM_BUSY = auto()
    UPSTREAM_INTERRUPTED = auto()
    SHUTTING_DOWN = auto()
