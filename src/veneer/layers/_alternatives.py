"""Which of several models may answer a call: those that there are, and that can."""

from collections.abc import Sequence

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.call import Call
from veneer.catalog.catalog import Catalog
from veneer.catalog.dropping import droppable, unknown_members
from veneer.catalog.guards import refusal
from veneer.catalog.model import Model
from veneer.catalog.permission import is_permitted
from veneer.errors import Error
from veneer.facts import Principal
from veneer.layers._listing import unknown
from veneer.routing.preferences import Preferences
from veneer.routing.reading import MODELS
from veneer.wire import splice


class Alternatives(msgspec.Struct, frozen=True):
    """The models that may answer, in the order in which they were named: names and ids."""

    names: tuple[str, ...]
    ids: tuple[str, ...]


class Asked(msgspec.Struct, frozen=True):
    """A call, its body, and whether it may be made without what its model cannot do."""

    call: Call
    body: bytes
    drops: bool


def preferred(scope: Scope) -> Sequence[str]:
    """Return the models of which a call wants any, in its order; none where it names one."""
    preferences: Preferences | None = scope[facts.SCOPE_KEY].get(Preferences)
    return () if preferences is None else preferences.models


def alternatives(
    catalog: Catalog, principal: Principal | None, asked: Asked, names: Sequence[str]
) -> Alternatives | Error:
    """Return those of some models that may answer a call, or the error that it gets.

    One that there is not, or not for this caller, is an error; one that cannot do what is asked is
    left out, unless none can: then the first one's error is the call's. What comes twice counts
    once.
    """
    found: dict[str, str] = {}
    first: Error | None = None
    for place, name in enumerate(names):
        model = catalog.find(name)
        if model is None or not is_permitted(principal, name, model):
            return msgspec.structs.replace(unknown(name), param=f"{MODELS}.{place}")
        refused = refusal(model, asked.call, _left(model, asked))
        if refused is None:
            found.setdefault(model.id, name)
        first = first or refused
    if first is not None and not found:
        return first
    return Alternatives(tuple(found.values()), tuple(found))


def _left(model: Model, asked: Asked) -> bytes:
    """Return what a model would get of a body; what cannot be read is refused by whoever reads."""
    body = asked.body
    try:
        names = droppable(model, body) if asked.drops else unknown_members(model, body)
        return splice.without(body, names) if names else body
    except ValueError:
        return body
