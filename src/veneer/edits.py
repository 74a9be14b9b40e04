"""Edits: what layers want changed in the answer, said on the way in, applied once by the relay."""

from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.dialects.routing import Warned
from veneer.facts import Answered, Route, Usage

_T = TypeVar("_T")


class Edits:
    """The changes that an answer gets.

    `usage_wanted`: some layer needs the usage, also of a stream whose client did not ask for it.
    `usage_shown`: the client sees it then, merged into the chunk that finishes the stream. `model`:
    the name to show, as JSON, or None for what the upstream says. `in_usage` and `at_end` give
    members (`b'"a":1,"b":2'`, or nothing) for the usage object and for the last object of the
    answer: the whole body, or the last data event of a stream; they are called once, when usage is
    known. `output_text` is whether a response of the Responses API has the text of its output, too,
    which OpenAI's clients put together themselves. `beside` gives members for the event that
    carries the last object of a stream of the Responses API, to stand beside it, once `at_end` have
    been called. `failed` is, where it is there, whether the object tells of an error. `events` is
    how many a stream has had by then, None where the answer is no stream; `answered`, what the
    upstream has said beside its usage. `images` is how many images have come, if `images_wanted`
    asks for that, None where it cannot be seen. `error` says the error that a stream ends with in
    other words: it gets the call's scope, the data of the event, the operation's name and how many
    events went before, and returns the event. `warnings` are what its client is told of what was
    changed or left out of its request, where the dialect tells that. `names_canonical` is whether
    the answer names its model as the catalog does, where a router's target calls it otherwise.
    """

    __slots__ = (
        "answered",
        "at_end",
        "beside",
        "error",
        "events",
        "failed",
        "images",
        "images_wanted",
        "in_usage",
        "model",
        "names_canonical",
        "output_text",
        "usage_shown",
        "usage_wanted",
        "warnings",
    )

    def __init__(self) -> None:
        self.usage_wanted = False
        self.usage_shown = False
        self.model: bytes | None = None
        self.events: int | None = None
        self.answered: Answered | None = None
        self.error: Callable[[Scope, bytes, str, int], bytes] | None = None
        self.images: int | None = None
        self.images_wanted = False
        self.failed = False
        self.output_text = False
        self.beside: Callable[[], bytes] | None = None
        self.in_usage: list[Callable[[Usage], bytes]] = []
        self.at_end: list[Callable[[Usage | None], bytes]] = []
        self.warnings: list[Warned] = []
        self.names_canonical = True

    def show_model(self, name: str) -> None:
        """Show this model name wherever the answer names its model."""
        self.model = msgspec.json.encode(name)

    def answered_by(self, route: Route) -> None:
        """Show the catalog's name of the model that answers, if that is asked for."""
        name = route.canonical
        if self.names_canonical and name and (self.model is not None or route.model != name):
            self.show_model(name)

    def forget(self) -> None:
        """Let go of those who gave changes, as the answer is over.

        They hold the facts of the call, and these hold its edits: only a collection of garbage
        would free what a call leaves.
        """
        self.in_usage.clear()
        self.at_end.clear()
        self.beside = None

    @property
    def changes_body(self) -> bool:
        """Whether a plain answer differs from what the upstream sent."""
        # Who adds beside the last object adds to it, too.
        return bool(self.in_usage or self.at_end) or self.output_text or self.model is not None


def members_of(givers: Sequence[Callable[[_T], bytes]], usage: _T) -> bytes:
    """Return the members that they give for a usage; mostly there is one, or none."""
    if len(givers) == 1:
        return givers[0](usage)
    return b",".join(filter(None, [give(usage) for give in givers]))


def edits_of(scope: Scope) -> Edits:
    """Return the edits of this call; the first to ask makes them."""
    edits = facts.get(scope, Edits)
    if edits is None:
        edits = Edits()
        facts.put(scope, edits)
    return edits
