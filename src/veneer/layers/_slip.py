"""The receipt of a call that is paid for, in its answer."""

from starlette.types import Scope

from veneer import facts
from veneer.dialects import OPENAI, Dialect
from veneer.dialects.receipts import usage_member
from veneer.edits import Edits
from veneer.facts import Cost, Usage
from veneer.layers._reckoning import Reckoning
from veneer.prices.credits import Credits


class Slip:
    """Writes the receipt of one call into its answer, in its dialect's form."""

    __slots__ = ("_credits", "_dialect", "_operation", "_reckoning", "_scope")

    def __init__(
        self, scope: Scope, operation: str, reckoning: Reckoning, credits_: Credits
    ) -> None:
        self._scope = scope
        self._dialect = facts.get(scope, Dialect) or OPENAI
        self._operation = operation
        self._reckoning = reckoning
        self._credits = credits_

    def attach(self, edits: Edits, *, stream: bool) -> None:
        """Have the answer changed; a stream whose client did not ask for usage shows it, too."""
        edits.usage_shown = edits.usage_shown or stream
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
        facts.put(self._scope, cost)
        return self._dialect.receipt(cost, usage, self._operation, self._credits)
