"""Permission: which models a caller may use."""

from veneer.catalog.catalog import matches
from veneer.catalog.model import Model
from veneer.facts import Principal


def is_permitted(principal: Principal | None, requested: str, model: Model) -> bool:
    """Whether a caller may use a model under the name that it asked for.

    Its patterns have to allow both that name and the one that it stands for, lest an alias leads
    where the key must not go.
    """
    if principal is None or principal.models is None:
        return True
    patterns = principal.models
    return matches(patterns, model.id) and (requested == model.id or matches(patterns, requested))


def is_held(principal: Principal | None) -> bool:
    """Whether a caller may use some models only."""
    return principal is not None and principal.models is not None
