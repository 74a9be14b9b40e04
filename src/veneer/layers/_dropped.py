"""What is left out of a call because its model does not support it, and how that is told."""

import logging

from starlette.types import Scope

from veneer import facts
from veneer.catalog.dropping import droppable, unknown_members, warning
from veneer.catalog.model import Model
from veneer.dialects import Kind
from veneer.edits import edits_of
from veneer.errors import Error, unreadable
from veneer.routing.preferences import Preferences
from veneer.wire import splice

logger = logging.getLogger("veneer.models")


def without_unsupported(scope: Scope, model: Model, body: bytes, *, drops: bool) -> bytes | Error:
    """Return the body of a call without what its model does not support, or the error that it gets.

    That is what the model does not know; with `drops`, also what asks for something that it cannot
    do, where the call can be made without. The client is told, where its dialect has a place for
    that; one that requires its parameters is refused.
    """
    try:
        names = droppable(model, body) if drops else unknown_members(model, body)
        if not names:
            return body
        preferences = facts.get(scope, Preferences)
        if preferences is not None and preferences.require_parameters:
            return Error(
                Kind.ROUTE_PARAMETERS,
                f"This model does not support '{names[0]}', and this call requires all that it "
                "asks for.",
                param=names[0],
            )
        body = splice.without(body, names)
    except ValueError as error:
        return unreadable(error)
    edits_of(scope).warnings += map(warning, names)
    logger.debug("left out of a call to %s: %s", model.id, ", ".join(names))
    return body
