"""Facts: what layers learn about a request, left where others can read it.

A fact is a small frozen record, kept under its own type in one entry of the ASGI scope. The entry
is opened once, by the outermost layer, and survives copies of the scope made below it, so that what
an inner layer puts is seen by the outer ones. Anybody may add types of their own: subclass
`RequestFact` for what is known before the call goes on, `ResponseFact` for what is known only from
the answer.
"""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

SCOPE_KEY = "veneer.facts"


class RequestFact(msgspec.Struct, frozen=True):
    """Known on the way in: a layer that reads one must stand below the layer that writes it."""


class ResponseFact(msgspec.Struct, frozen=True):
    """Known on the way out: a layer that reads one must stand above the layer that writes it."""


class RequestId(RequestFact, frozen=True):
    """The id of this request, and the one that its client gave, if that is to be kept."""

    value: str
    client: str | None = None


class Principal(RequestFact, frozen=True, kw_only=True):
    """Who calls, and on whose account; what limits, budgets, logs and the ledger go by.

    `id` is the key's id or the token's subject. `team` pays, `user` acts. `scopes` are `read`,
    `write`, `full` and `admin`; `operations` (names) and `models` (patterns) narrow them, None for
    all. `limits` and `budgets` are the caller's own, in the configuration's notation. `attributes`
    are whatever the verifier adds (claims of a token, fields of the host's user). `shown` is how
    the key is recognised, `created_at` and `expires_at` (aware) since and until when it is one,
    each None where that is not known, or never.
    """

    id: str
    name: str = ""
    team: str | None = None
    user: str | None = None
    scopes: frozenset[str] = frozenset()
    operations: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    limits: Mapping[str, str] = {}
    budgets: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = {}
    shown: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


# What stands before a tag that a client gives its request.
CLIENT_TAG = "client:"


class RequestMetadata(RequestFact, frozen=True, kw_only=True):
    """What a client says of its request, for logs and the ledger; nobody has checked it.

    `tags` stand beside those of the caller, each after `CLIENT_TAG`, which no tag of a key begins
    with: a client can put its spending under none of the operator's. `user_id` is whom the client
    acts for, `trace_id` finds the request in its own records.
    """

    tags: tuple[str, ...] = ()
    user_id: str | None = None
    trace_id: str | None = None
    custom_fields: Mapping[str, str] = {}


class Standing(msgspec.Struct, frozen=True):
    """How a quota stands for a caller.

    `unit` is `requests`, `tokens` or `concurrent-requests`. Of `limit` units in `window` seconds
    `remaining` are left; `reset` is the time in seconds until all are, if nothing more is taken.
    Concurrent requests have no window, and come back when the calls end: both are 0.
    """

    policy: str
    unit: str
    limit: int
    window: float
    remaining: int
    reset: float


class Quotas(RequestFact, frozen=True):
    """The quotas that hold this request, as they stand after what it took.

    `draft` writes the fields of the IETF draft that is spoken besides the dialect's, if one is.
    """

    standings: tuple[Standing, ...]
    draft: Callable[[Sequence[Standing]], list[tuple[bytes, bytes]]] | None = None


class BudgetStanding(msgspec.Struct, frozen=True, kw_only=True):
    """How a budget stands for a caller; amounts are in picodollars.

    `by` says what it is counted by (`team`, or `key` and `model`), never who that is. Of `limit`,
    None where nothing is refused, `spent` is gone and `held` for calls that run; in a `period`
    (`hour`, `day`, `week`, `month`, `total`) that is over at `ends`, in seconds since the epoch,
    None for never. `exceeded` is whether this call did not fit; `disclosed`, whether the caller may
    see amounts.
    """

    budget: str
    by: tuple[str, ...]
    period: str
    ends: int | None
    limit: int | None
    spent: int
    held: int
    exceeded: bool = False
    disclosed: bool = False


class Replayed(ResponseFact, frozen=True):
    """The answer is that of an earlier request with the same idempotency key."""


# What every answer leaves cannot be part of a cycle, and the garbage collector need not look at it.


class Usage(ResponseFact, frozen=True, kw_only=True, gc=False):
    """The tokens that the upstream says it used; subsets are contained in their totals.

    `cached_input_tokens` and `cache_write_tokens` are parts of `input_tokens`, `reasoning_tokens`
    of `output_tokens`, as in OpenAI's usage object; `seconds` is audio billed by its length.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    total_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    seconds: float = 0.0
    malformed: bool = False


class Answered(ResponseFact, frozen=True, kw_only=True, gc=False):
    """What the upstream says of an answer beside its usage, where it tells that.

    `model` is who answered, `service_tier` how; `tools` counts the calls of each hosted tool.
    """

    model: str | None = None
    service_tier: str | None = None
    tools: Mapping[str, int] = {}


class Cost(ResponseFact, frozen=True, kw_only=True, gc=False):
    """What a call costs its caller, in picodollars (10**12 are a dollar).

    `parts` are the amounts by what they are for (`input`, `cached_input`, `cache_write`, `output`,
    `reasoning`, ...), each rounded once; `total` is their sum. `model` is the name that was priced,
    at the prices of `price_version`. `estimated` is whether the usage behind it is not the model
    server's own word.
    """

    parts: Mapping[str, int] = {}
    total: int = 0
    model: str | None = None
    price_version: str | None = None
    estimated: bool = False


class Relayed(ResponseFact, frozen=True, kw_only=True, gc=False):
    """What the relay saw of an answer.

    `observed` is whether its body could be read (JSON or events, within bounds, not compressed);
    `complete`, whether it came to its proper end; `events` counts the events of a stream.
    """

    stream: bool
    observed: bool
    complete: bool
    events: int = 0


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """A try of a call that came to nothing before another was made.

    `why` is a word for what went wrong (`status`, `timeout`, `unreachable`, `broken`); `status` is
    the target's, None where it gave none. `usage` is what it says was used all the same, and it
    may have used something if the call had `reached` it. `seconds` is how long it took.
    """

    target: str
    model: str | None = None
    why: str
    status: int | None = None
    reached: bool = True
    usage: Usage | None = None
    seconds: float = 0.0


class Route(ResponseFact, frozen=True, kw_only=True):
    """Where a call went: the target's name, its status and request id, seconds until its header.

    A router says more: `model` is the target's own name for the model, and `canonical` the
    catalog's; `strategy` is what it was chosen by, `own_key` whether with a key of the caller's
    own; `tried` are those that were asked before. Where all tries have failed, it is not
    `answered`: `tried` holds all of them then, and the rest is of the last that gave a status, 0
    for none.
    """

    target: str
    status: int
    request_id: str | None = None
    seconds: float = 0.0
    model: str | None = None
    canonical: str | None = None
    strategy: str | None = None
    own_key: bool = False
    tried: tuple[Tried, ...] = ()
    answered: bool = True

    @property
    def tries(self) -> int:
        """How many tries were made."""
        return len(self.tried) + self.answered


class OwnKeys(RequestFact, frozen=True):
    """The caller's own keys, by the names of the targets that they are for; they are secrets."""

    keys: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Tell which targets, never which keys."""
        return f"OwnKeys({sorted(self.keys)})"


class Unreached(ResponseFact, frozen=True):
    """The call was answered without the model server having got it, so nothing was used."""


F = TypeVar("F")


def open_in(scope: MutableMapping[str, Any]) -> dict[type, Any]:
    """Give the scope an empty set of facts of its own and return it."""
    facts: dict[type, Any] = {}
    scope[SCOPE_KEY] = facts
    return facts


def all_in(scope: MutableMapping[str, Any]) -> dict[type, Any]:
    """Return the facts of a request by their types, opened by the first to ask."""
    facts: dict[type, Any] | None = scope.get(SCOPE_KEY)
    return open_in(scope) if facts is None else facts


def put(scope: MutableMapping[str, Any], fact: object) -> None:
    """Leave a fact under its type, replacing an earlier one of the same type."""
    facts = scope.get(SCOPE_KEY)
    if facts is None:
        facts = open_in(scope)
    facts[type(fact)] = fact


def get(scope: MutableMapping[str, Any], kind: type[F]) -> F | None:
    """Return the fact of this type, or None where nobody has put one."""
    facts = scope.get(SCOPE_KEY)
    return None if facts is None else facts.get(kind)
