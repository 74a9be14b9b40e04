"""The record that a dialect is: everything that one API says in its own way."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from veneer.dialects.kinds import Kind
from veneer.dialects.listings import Listed, openai_model, openai_models
from veneer.facts import BudgetStanding, Cost, RequestFact, Standing, Usage
from veneer.prices.credits import Credits

BudgetFields = Callable[[Sequence[BudgetStanding], Credits], list[tuple[bytes, bytes]]]


class Form(msgspec.Struct, frozen=True):
    """How a dialect says one kind of failure.

    `retry` is what OpenAI's clients are told in `x-should-retry`; None leaves it to their own rule.
    `message` replaces what the layer that refuses would say, so that kinds which are told apart
    inside look the same outside.
    """

    status: int
    type: str
    code: str | None = None
    retry: bool | None = None
    message: str | None = None


class Failure(msgspec.Struct, frozen=True):
    """One failure, ready to be rendered; `sequence` counts the events of its stream before it."""

    form: Form
    message: str
    param: str | None
    request_id: str | None
    sequence: int = 0

    @property
    def said(self) -> str:
        """The message that the client gets: the form's own, else the one that was given."""
        return self.message if self.form.message is None else self.form.message


class Versions(msgspec.Struct, frozen=True):
    """The versions of an API that its clients may ask for in a request field.

    `field` is its name in lower case; the response says in the same which one was applied. `known`
    are dates, of which the first is for those who ask for none.
    """

    field: bytes
    known: tuple[str, ...]


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
    the version of the catalog and its age in seconds.

    `version` is the API version field and value, if the API sends one, `versions` are those that a
    client may choose from; `replayed` is the field of
    an answer given before, `idempotency_status` that which says why a key was not used. `exposed`
    names the fields that a browser may read. `keeps_foreign` is whether errors of upstreams, which
    speak OpenAI's way, pass as they are; else they are said anew.
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
    version: tuple[bytes, bytes] | None = None
    versions: Versions | None = None
    replayed: tuple[bytes, bytes] = (b"idempotent-replayed", b"true")
    idempotency_status: bytes = b"idempotency-status"
    exposed: Sequence[str] = ()
    keeps_foreign: bool = False

    def is_spoken(self, error: Mapping[str, Any]) -> bool:
        """Whether the members of an error may go to clients as they are."""
        said = error.get("code"), error.get("type")
        return self.keeps_foreign or any(
            said == (form.code, form.type) for form in self.forms.values()
        )
