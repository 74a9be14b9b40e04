"""The record that a dialect is: everything that one API says in its own way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from veneer.dialects.kinds import Kind
from veneer.dialects.listings import Listed, Shelf, openai_model, openai_models
from veneer.dialects.principals import openai_me
from veneer.dialects.receipts import Estimated
from veneer.dialects.routing import Routing
from veneer.facts import BudgetStanding, Cost, Principal, RequestFact, Route, Standing, Usage
from veneer.prices.credits import Credits

# The attribute of a caller that is its default version.
DEFAULT_VERSION = "default_api_version"

# The operation that tells what an embedding would cost.
ESTIMATE = "embeddings.estimate"

ErrorFields = Callable[["Failure"], list[tuple[bytes, bytes]]]
BudgetFields = Callable[[Sequence[BudgetStanding], Credits], list[tuple[bytes, bytes]]]


class Form(msgspec.Struct, frozen=True):
    """How a dialect says one kind of failure.

    `retry` is what OpenAI's clients are told in `x-should-retry`; None leaves it to their own rule.
    `message` replaces what the layer that refuses would say, so that kinds which are told apart
    inside look the same outside. `wording` replaces it where the terms in its braces are known.
    `wait` is whether clients are told after what time to try again, if that is known.
    """

    status: int
    type: str
    code: str | None = None
    retry: bool | None = None
    message: str | None = None
    wording: str | None = None
    wait: bool = True


class Failure(msgspec.Struct, frozen=True):
    """One failure, ready to be rendered; `sequence` counts the events of its stream before it.

    `terms` are what its dialect may word it with; `route` is where the call went that failed.
    `suggestion` is what the caller may do instead, for dialects that have a place for it.
    """

    form: Form
    message: str
    param: str | None
    request_id: str | None
    sequence: int = 0
    terms: Mapping[str, str] = {}
    route: Route | None = None
    suggestion: str | None = None

    @property
    def said(self) -> str:
        """The message that the client gets: the form's own, else the one that was given."""
        form = self.form
        if form.wording is not None and self.terms:
            return form.wording.format_map(self.terms)
        return self.message if form.message is None else form.message


class Versions(msgspec.Struct, frozen=True):
    """The versions of an API that its clients may ask for in a request field.

    `field` is its name in lower case; the response says in the same which one was applied. `known`
    are dates, of which the first is for those who ask for none, unless `teams` has another for the
    team that they are of.
    """

    field: bytes
    known: tuple[str, ...]
    teams: Mapping[str, str] = {}

    def default_of(self, principal: Principal | None) -> str:
        """Return the version of a caller who asks for none: its own, its team's, or that of all.

        One that is not known, or no longer, is nobody's.
        """
        if principal is None:
            return self.known[0]
        own = principal.attributes.get(DEFAULT_VERSION)
        if isinstance(own, str) and own in self.known:
            return own
        return self.teams.get(principal.team or "", self.known[0])


class Dialect(RequestFact, frozen=True, kw_only=True):
    """How an API speaks; layers ask it and never branch on its name.

    `forms` has a form for every `Kind`; `body` renders the error envelope, `event` the one event
    that ends a broken stream of the operation named by its second argument.
    `request_id_headers` are the response fields that carry the request's id; `rate_limit_fields`
    gives those that say how quotas stand, names in lower case, from their standings and the time in
    seconds since the epoch.

    `receipt` gives the members that tell what a call cost, for the usage object of its answer: from
    the cost, the usage, the operation's name and what a credit is worth. `cost_fields` gives the
    response fields that tell it, from the cost and the credit; `budget_fields` those that say how
    budgets stand, from their standings and the credit, and is None for an API that has none.
    `balance` renders the JSON document that a caller gets who asks how it stands. `model` gives a
    model as lists show it, from what is shown and the credit; `models` renders a list of them, with
    the version of the catalog and its age in seconds. `lists` renders further lists, by the names
    of the operations that ask for them; those in `public` ask for no key. `estimate` renders what
    an embedding would cost, and is None for an API that does not tell.

    `me` renders the JSON document that a caller gets who asks who it is, from its principal and the
    tightest of the limits on its requests.

    `shows_usage` is whether streams tell their usage unasked, `output_text` whether responses of
    the Responses API have all of their text as one member. `metadata` gives the members that
    tell how a call was routed, for the last object of its answer, and is None for an API that has
    none; `gateway` is whether calls may say how they are to be, in a member of that name and in a
    suffix of the model's. `error_fields` gives fields of a response that tell of its error; `wait`
    is after how many seconds clients are told to come again by a 429 or 503 for which nobody knows
    better, None for no such advice.

    `idempotency_names` are the fields that may hold a key; `records_streams` is whether a stream
    under one is recorded, else it runs as if it had none, and begins with a chunk that says so if
    it `warns_in_streams`. `replayed` is the field of an answer given before, `idempotency_status`
    that which says why a key was not used.

    `version` is the API version field and value, if the API sends one, `versions` are those that a
    client may choose from. `keeps_answers` is whether responses may ask to be stored, unless an
    operator allows what is stored. `unserved` names operations that this API has not, unless an
    operator allows them. `exposed` names the fields that a browser may read. `keeps_foreign` is
    whether errors of upstreams, which speak OpenAI's way, pass as they are; else they are said
    anew.

    `team` tells a caller of its team, from the version of the API that it gets by default and how
    its budgets stand, and is None for an API that does not. `keeps_completions` is whether
    chats can be asked for again, and cancelled, by their id. `deprecated` is the field that a route
    has which has moved.
    """

    name: str
    forms: Mapping[Kind, Form]
    body: Callable[[Failure], bytes]
    event: Callable[[Failure, str], bytes]
    request_id_headers: Sequence[bytes]
    rate_limit_fields: Callable[[Sequence[Standing], float], list[tuple[bytes, bytes]]]
    receipt: Callable[[Cost, Usage, str, Credits], bytes]
    cost_fields: Callable[[Cost, Credits], list[tuple[bytes, bytes]]]
    balance: Callable[[Sequence[BudgetStanding], Credits], bytes]
    budget_fields: BudgetFields | None = None
    model: Callable[[Listed, Credits], dict[str, Any]] = openai_model
    models: Callable[[list[dict[str, Any]], str, float], bytes] = openai_models
    lists: Mapping[str, Callable[[Shelf], bytes]] = {}
    public: Sequence[str] = ()
    estimate: Callable[[Estimated, Credits], bytes] | None = None
    me: Callable[[Principal, Standing | None], bytes] = openai_me
    shows_usage: bool = False
    output_text: bool = False
    metadata: Callable[[Routing], bytes] | None = None
    gateway: bool = False
    error_fields: ErrorFields | None = None
    wait: int | None = None
    version: tuple[bytes, bytes] | None = None
    versions: Versions | None = None
    idempotency_names: Sequence[str] = ("Idempotency-Key",)
    records_streams: bool = True
    warns_in_streams: bool = False
    replayed: tuple[bytes, bytes] = (b"idempotent-replayed", b"true")
    idempotency_status: bytes = b"idempotency-status"
    keeps_answers: bool = True
    unserved: Sequence[str] = ()
    exposed: Sequence[str] = ()
    keeps_foreign: bool = False
    team: Callable[[Principal, str | None, Sequence[BudgetStanding]], bytes] | None = None
    keeps_completions: bool = False
    deprecated: tuple[bytes, bytes] = (b"deprecated", b"route")

    @property
    def served(self) -> Sequence[str]:
        """The operations that this API has beside those that are served by default."""
        return (*self.lists, *(() if self.estimate is None else (ESTIMATE,)))

    def is_spoken(self, error: Mapping[str, Any]) -> bool:
        """Whether the members of an error may go to clients as they are."""
        said = error.get("code"), error.get("type")
        return self.keeps_foreign or any(
            said == (form.code, form.type) for form in self.forms.values()
        )
