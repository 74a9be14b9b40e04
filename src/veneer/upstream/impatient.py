"""Whether a try is cut shorter than the operator would have it."""

from veneer.facts import RequestFact


class Impatient(RequestFact, frozen=True):
    """Who wants this try may give it up sooner than the operator would: that is nobody's fault."""
