"""Operations: what a path asks for, and which of them are served.

Everything behind one upstream key is shared by all who call through it, so only the stateless
operations whose use can be accounted for are served unless an operator names others. The operation
and the path that goes upstream come from one reading of the request's path: two readings are how
guards are walked around.
"""

import difflib
import re
from collections.abc import Iterable
from enum import Enum
from types import MappingProxyType
from urllib.parse import quote, unquote

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import RequestFact
from veneer.paths import path_of


class Body(Enum):
    """What an operation's request carries: JSON that we read, or something that we only pass on."""

    JSON = "json"
    OPAQUE = "opaque"


class Operation(msgspec.Struct, frozen=True):
    """One thing that an OpenAI-compatible API does, named after its path.

    `methods` are those it answers; none means any but TRACE. `default` is whether it is served
    unless said otherwise.
    """

    name: str
    methods: frozenset[str] = frozenset()
    body: Body = Body.OPAQUE
    default: bool = False


class Endpoint(RequestFact, frozen=True):
    """The operation a request asks for, and its path below the API's base (encoded, no query)."""

    operation: Operation
    path: bytes


# What a path may be written in, besides the slash (RFC 3986 §3.3).
_PATH = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*").fullmatch

_POST = frozenset({"POST"})
_GET = frozenset({"GET", "HEAD"})

# What is told of an operation that answers any method.
_USUAL = frozenset({"DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"})

# Paths that are an operation to the letter, below the base.
FIXED = MappingProxyType(
    {
        "chat/completions": Operation("chat.completions", _POST, Body.JSON, default=True),
        "completions": Operation("completions", _POST, Body.JSON, default=True),
        "responses": Operation("responses", _POST, Body.JSON, default=True),
        "embeddings": Operation("embeddings", _POST, Body.JSON, default=True),
        "moderations": Operation("moderations", _POST, Body.JSON, default=True),
        "images/generations": Operation("images.generations", _POST, Body.JSON, default=True),
        "images/edits": Operation("images.edits", _POST, default=True),
        "images/variations": Operation("images.variations", _POST, default=True),
        "audio/speech": Operation("audio.speech", _POST, Body.JSON, default=True),
        "audio/transcriptions": Operation("audio.transcriptions", _POST, default=True),
        "audio/translations": Operation("audio.translations", _POST, default=True),
        "models": Operation("models", _GET, default=True),
        # Some APIs have these beside OpenAI's; a dialect says so.
        "embeddings/estimate": Operation("embeddings.estimate", _POST, Body.JSON),
        "pricing": Operation("pricing", _GET),
        "directory/models": Operation("directory.models", _GET),
        "registry/models": Operation("registry.models", _GET),
        "registry/providers": Operation("registry.providers", _GET),
    }
)

# What lies below these first segments is one operation each, whatever the method.
GROUPS = MappingProxyType(
    {
        "models/": Operation("models", _GET, default=True),
        "chat/completions/": Operation("chat.completions.stored"),
        "responses/": Operation("responses.stored"),
        **{
            f"{name}/": Operation(name)
            for name in (
                "files",
                "uploads",
                "batches",
                "fine_tuning",
                "vector_stores",
                "conversations",
                "containers",
                "assistants",
                "threads",
                "evals",
                "skills",
                "videos",
                "realtime",
                "organization",
            )
        },
    }
)

# Made once, as most requests ask for one of them.
ENDPOINTS = MappingProxyType(
    {path: Endpoint(operation, path.encode()) for path, operation in FIXED.items()}
)

# Under the paths that most requests have, with and without a version.
_USUAL_PATHS = MappingProxyType(
    {before + path: endpoint for path, endpoint in ENDPOINTS.items() for before in ("/", "/v1/")}
)

NAMES = frozenset(operation.name for table in (FIXED, GROUPS) for operation in table.values())


def endpoint_of(scope: Scope) -> Endpoint | None:
    """Return the endpoint that a request asks for, or None where its path is no operation's.

    The decoded path decides, as it does for the app below; `root_path` and one `/v1` are taken off.
    A path with empty, `.` or `..` segments, encoded or not, is no operation's.
    """
    known = scope.get(facts.SCOPE_KEY)
    endpoint: Endpoint | None = None if known is None else known.get(Endpoint)
    if endpoint is None and not scope.get("root_path"):
        endpoint = _USUAL_PATHS.get(scope["path"])
    return endpoint or _read_path(scope)


def _read_path(scope: Scope) -> Endpoint | None:
    below = path_below_base(scope)
    # A slash at the end changes nothing, lest it makes another operation of the same path upstream.
    endpoint = ENDPOINTS.get(below) or ENDPOINTS.get(below.removesuffix("/"))
    if endpoint is not None:
        return endpoint
    for prefix, operation in GROUPS.items():
        if below == prefix[:-1] or below == prefix:
            return Endpoint(operation, prefix[:-1].encode())
        if below.startswith(prefix):
            tail = _encoded(scope, prefix, below[len(prefix) :])
            return None if tail is None else Endpoint(operation, prefix.encode() + tail)
    return None


def path_below_base(scope: Scope) -> str:
    """Return the decoded path without `root_path`, a `/v1` in front and the leading slash."""
    path = path_of(scope)
    return path[4:] if path.startswith("/v1/") else path.removeprefix("/")


def _encoded(scope: Scope, prefix: str, tail: str) -> bytes | None:
    """Return a tail as the client encoded it, or None where it could leave the base."""
    if not _stays_below(tail):
        return None
    raw = bytes(scope.get("raw_path") or b"").partition(b"?")[0]
    for head in re.finditer(re.escape(prefix.encode()), raw):
        encoded = raw[head.end() :]
        if _PATH(encoded) and unquote(encoded.decode("ascii")) == tail:
            return encoded
    return quote(tail).encode()


def _stays_below(tail: str) -> bool:
    """Whether a path has no empty or dot segment, however often somebody upstream decodes it."""
    while (decoded := unquote(tail)) != tail:
        tail = decoded
    segments = tail.replace("\\", "/").split("/")
    # Servlet containers cut off what follows a semicolon, then look at the dots.
    bare = (segment.partition(";")[0] for segment in segments)
    return tail.isprintable() and not any(segment in ("", ".", "..") for segment in bare)


class Allowed:
    """Which operations are served: the default ones and those that an operator names.

    A name is an operation's (`"files"`) or a path below the base that is none of ours
    (`"/rerank"`; a `/v1` in front makes no difference). Those in `deny` are not served although
    others are by default; they may be families, too (`"images"` is all that begins so). `names` are
    the operations that pass, and those paths; `stored`, whether Responses calls may refer to what
    is stored upstream. Raises ValueError for a name that is neither, or that is both.
    """

    def __init__(self, also: Iterable[str] = (), deny: Iterable[str] = ()) -> None:
        names = {op.name for table in (FIXED, GROUPS) for op in table.values() if op.default}
        also = list(also)
        for name in deny:
            denied = family(name)
            both = sorted(denied.intersection(also))
            if both:
                raise ValueError(f"{both[0]!r} is both allowed and denied.")
            names -= denied
        paths: dict[str, Operation] = {}
        for name in also:
            if name in NAMES:
                names.add(name)
            else:
                operation = Operation(name)
                paths[_own_path(name)] = operation
                names.add(operation.name)
        self.names = frozenset(names)
        self.stored = "responses.stored" in names
        self._paths = paths

    def find(self, scope: Scope) -> Endpoint | None:
        """Return the endpoint that a request asks for, served or not; None for an unknown path."""
        endpoint = endpoint_of(scope)
        if endpoint is None and self._paths:
            below = path_below_base(scope)
            operation = self._paths.get(below)
            if operation is not None:
                endpoint = Endpoint(operation, quote(below).encode())
        return endpoint

    def judge(self, scope: Scope) -> Endpoint | Error:
        """Return the endpoint of a request that may pass, or the error that it gets."""
        method = scope["method"]
        endpoint = self.find(scope)
        if endpoint is None:
            return Error(
                Kind.UNKNOWN_URL,
                f"Unknown request URL: {method} {_shown(scope['path'])}",
            )
        operation = endpoint.operation
        if operation.name not in self.names:
            others = ", ".join(sorted(self.names))
            return Error(
                Kind.NOT_SERVED,
                f"The operation '{operation.name}' is not served here. What is: {others}.",
            )
        # An upstream answers TRACE with its request, our own key and all (RFC 9110 §9.3.8).
        if method == "TRACE" or (operation.methods and method not in operation.methods):
            allowed = ", ".join(sorted(operation.methods or _USUAL))
            return Error(
                Kind.METHOD_NOT_ALLOWED,
                f"{method} is not allowed on this path; it answers {allowed}.",
                headers=((b"allow", allowed.encode()),),
            )
        return endpoint


def family(name: str) -> frozenset[str]:
    """Return the operation of this name, or all whose names begin so; ValueError for none."""
    found = frozenset(known for known in NAMES if known == name or known.startswith(f"{name}."))
    if not found:
        raise ValueError(_unknown_name(name))
    # What is stored of calls is an operation of its own, that nobody means by the calls.
    return frozenset([name]) if name in found else found


def _shown(path: str) -> str:
    """Return a path that is safe and short enough to be repeated in a message."""
    return quote(path[:200], safe="/:@!$&'()*+,;=~-._", errors="replace")


def _own_path(name: str) -> str:
    """Return the path below the base that an operator allows; ValueError for none."""
    scope = {"path": name}
    below = path_below_base(scope)
    if not name.startswith("/") or "%" in name or not _stays_below(below):
        raise ValueError(_unknown_name(name))
    endpoint = _read_path(scope)
    if endpoint is not None:
        raise ValueError(f"{name!r} belongs to an operation: name {endpoint.operation.name!r}.")
    return below


def _unknown_name(name: str) -> str:
    near = difflib.get_close_matches(name, NAMES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    return (
        f"{name!r} is no operation.{hint} Name one of {', '.join(sorted(NAMES))}, "
        "or a path such as '/rerank'."
    )
