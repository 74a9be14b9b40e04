"""One line of the log: what is told of a call, and how it is written."""

import json
import re
from functools import lru_cache

import msgspec

from veneer.facts import Route, Tried
from veneer.quotas.settlement import told

# What is longer tells an operator nothing more.
MAX_FIELD = 200
# Values of which it is remembered how they are written: models and targets come again and again.
MAX_REMEMBERED = 64

_bare = re.compile(r"[A-Za-z0-9._:/@+%,-]+").fullmatch
_encoder = msgspec.json.Encoder()


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What is told of one call, in the order of its line; unknown members are left out.

    `path` stands where the request asked for no operation that we know. Times are in milliseconds
    from the request's arrival here, but `upstream_ms`, which is counted by what asked the upstream.
    `user_id` and `trace_id` are what the client says of its request. Of a router, `upstream_model`
    is the target's name for the model, where that is another; `tries` counts the targets that were
    asked, where that is more than one, `tried` says of those that failed why, and `tried_tokens`
    what they used all the same, as they say.
    """

    time: str
    request_id: str | None = None
    client_id: str | None = None
    user_id: str | None = None
    trace_id: str | None = None
    method: str
    operation: str | None = None
    path: str | None = None
    model: str | None = None
    stream: bool | None = None
    status: int | None = None
    ms: float
    first_byte_ms: float | None = None
    bytes: int
    upstream: str | None = None
    upstream_status: int | None = None
    upstream_request_id: str | None = None
    upstream_ms: float | None = None
    upstream_model: str | None = None
    strategy: str | None = None
    own_key: bool | None = None
    tries: int | None = None
    tried: str | None = None
    tried_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    replayed: bool | None = None
    outcome: str


NAMES = Entry.__struct_fields__

# What may hold any text.
FREE = frozenset(
    [
        "client_id",
        "user_id",
        "trace_id",
        "path",
        "model",
        "upstream",
        "upstream_request_id",
        "upstream_model",
        "strategy",
        "tried",
    ]
)


def as_json(entry: Entry) -> str:
    """Render an entry as one JSON object."""
    return _encoder.encode(entry).decode()


def as_text(entry: Entry) -> str:
    """Render an entry as `key=value` pairs, values in JSON's quotes where they need them."""
    pairs = []
    for name, value in zip(NAMES, msgspec.structs.astuple(entry), strict=True):
        # Half of them are unknown, and most of the others texts and numbers of ours.
        if value is None:
            continue
        if name in FREE:
            pairs.append(f"{name}={_quoted(value)}")
        elif value is True or value is False:
            pairs.append(f"{name}={'true' if value else 'false'}")
        else:
            pairs.append(f"{name}={value}")
    return " ".join(pairs)


@lru_cache(MAX_REMEMBERED)
def _quoted(value: str) -> str:
    return value if _bare(value) else json.dumps(value)


def shown(text: str) -> str:
    """Return a text from outside, cut and without anything that a terminal would obey."""
    text = text[:MAX_FIELD]
    return text if text.isprintable() else ascii(text)[1:-1]


def add_route(entry: Entry, route: Route) -> None:
    """Say where a call went, and what a router has made of it."""
    entry.upstream = route.target
    entry.upstream_status = route.status or None
    entry.upstream_request_id = route.request_id and shown(route.request_id)
    entry.upstream_ms = round(route.seconds * 1000, 1)
    if route.strategy is None:
        return
    if route.model != entry.model:
        entry.upstream_model = route.model and shown(route.model)
    entry.strategy = route.strategy
    entry.own_key = route.own_key or None
    if route.tried:
        entry.tries = route.tries
        entry.tried = shown(",".join(map(_failure, route.tried)))
        used = [tried.usage for tried in route.tried if tried.usage is not None]
        entry.tried_tokens = sum(told(usage) for usage in used) if used else None


def _failure(tried: Tried) -> str:
    """Return who failed, and how: `west:status:503`."""
    why = tried.why if tried.status is None else f"{tried.why}:{tried.status}"
    return f"{tried.target}:{why}"
