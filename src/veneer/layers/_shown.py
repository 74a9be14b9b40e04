"""The name that an answer has for its model."""

from typing import Literal

from starlette.types import Scope

from veneer import facts
from veneer.catalog.model import Model
from veneer.edits import edits_of
from veneer.routing.preferences import Preferences

Shown = Literal["upstream", "requested", "resolved"]


def show_name(scope: Scope, show: Shown, requested: str, model: Model) -> None:
    """Say which name the answer has: see `ModelsMiddleware`."""
    if show == "upstream":
        edits_of(scope).names_canonical = False
    elif show == "resolved":
        edits_of(scope).show_model(model.id)
    elif requested != model.id:
        preferences = facts.get(scope, Preferences)
        edits = edits_of(scope)
        edits.show_model(requested)
        # Of several models, the answer names the one that gave it.
        edits.names_canonical = preferences is not None and len(preferences.models) > 1
