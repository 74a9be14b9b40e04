"""The key of a caller's own that one try of a call is made with."""

from veneer.facts import RequestFact


class UpstreamKey(RequestFact, frozen=True):
    """A key to show to the upstream in place of its own; a secret, put for one try only."""

    value: str

    def __repr__(self) -> str:
        """Tell nothing."""
        return "UpstreamKey()"
