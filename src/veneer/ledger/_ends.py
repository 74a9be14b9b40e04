"""The ends that a ledger itself gives to rows."""

from veneer.ledger.entry import Hold, Settlement


def released(hold: Hold) -> Settlement:
    """Return the end of a hold that nobody has."""
    return Settlement(call=hold.call, state="released", at=hold.at)


def abandoned(call: str, at: float, charge: int = 0) -> Settlement:
    """Return the end of a call whose process is over, with what is charged for it by guess."""
    return Settlement(
        call=call,
        state="abandoned",
        at=at,
        total=charge,
        parts={"held": charge} if charge else {},
        estimated=charge > 0,
    )
