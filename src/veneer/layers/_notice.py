"""What the fields of an admitted call's answer tell of its budgets."""

import msgspec

from veneer.budgets.accounts import Accounts
from veneer.dialects.dialect import BudgetFields
from veneer.facts import Cost
from veneer.layers._till import Held
from veneer.prices.credits import Credits


class Notice(msgspec.Struct, frozen=True):
    """Tells how the budgets of one call stood when it was admitted, by a dialect's `write`."""

    accounts: Accounts
    held: Held
    write: BudgetFields
    credits: Credits

    def fields(self, cost: Cost | None) -> list[tuple[bytes, bytes]]:
        """Return the fields; with what the call came to in place of its hold, where that is known.

        What other calls have done since is not in them.
        """
        balances = self.held.balances
        if cost is not None:
            amount = self.held.hold.amount
            balances = tuple(
                [
                    msgspec.structs.replace(
                        balance, spent=balance.spent + cost.total, held=balance.held - amount
                    )
                    for balance in balances
                ]
            )
        return self.write([self.accounts.standing(each) for each in balances], self.credits)
