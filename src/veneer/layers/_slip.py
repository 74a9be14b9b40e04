"""The receipt of a call that is paid for, in its answer."""

from typing import Any

from veneer.dialects import Dialect
from veneer.dialects.receipts import usage_member
from veneer.edits import Edits
from veneer.facts import Cost, Usage
from veneer.layers._reckoning import Reckoning
from veneer.prices.credits import Credits


class Slip:
    """Writes the receipt of one call into its answer, by its `edits`, in the form of its `dialect`.

    `known` are the facts of the call.
    """

    __slots__ = ("_credits", "_dialect", "_known", "_operation", "_reckoning")

    def __init__(  # noqa: PLR0913, PLR0917 - all that a receipt goes by, said once
        self,
        known: dict[type, Any],
        dialect: Dialect,
        operation: str,
        reckoning: Reckoning,
        credits_: Credits,
        edits: Edits,
    ) -> None:
        self._known = known
        self._dialect = dialect
        self._operation = operation
        self._reckoning = reckoning
        self._credits = credits_
        edits.in_usage.append(self._in_usage)
        edits.at_end.append(self._at_end)

    def fields(self, cost: Cost) -> list[tuple[bytes, bytes]]:
        """Return the fields of the response."""
        return self._dialect.cost_fields(cost, self._credits)

    def _in_usage(self, usage: Usage) -> bytes:
        cost, counted = self._reckoning.by_usage(usage)
        return self._receipt(cost, counted)

    def _at_end(self, usage: Usage | None) -> bytes:
        """Return a usage object of ours where the upstream gave none."""
        if usage is not None:
            return b""
        cost, counted = self._reckoning.by_usage(None)
        return usage_member(counted, self._operation, self._receipt(cost, counted))

    def _receipt(self, cost: Cost, usage: Usage) -> bytes:
        self._known[Cost] = cost
        return self._dialect.receipt(cost, usage, self._operation, self._credits)
