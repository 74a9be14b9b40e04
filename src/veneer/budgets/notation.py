"""The notation of budgets: dollars, such as "20", "0.50" or "20 USD", or "unlimited"."""

from veneer.prices import money

UNLIMITED = "unlimited"

MAX_LENGTH = 200

_CURRENCY = "usd"


def parse(text: object) -> int | None:
    """Return the picodollars that a text stands for; None for "unlimited".

    Raises ValueError for anything else, with a sentence that says what can be.
    """
    words = text.lower().split() if isinstance(text, str) and len(text) <= MAX_LENGTH else []
    if words == [UNLIMITED]:
        return None
    if words[1:] == [_CURRENCY]:
        del words[1:]
    try:
        (amount,) = words
        return money.parse(amount)
    except ValueError:
        raise ValueError(
            f"{_shown(text)} is no budget: give dollars as text, such as '20' or '0.50', with at "
            f"most 12 digits before the point and after it, or {UNLIMITED!r}."
        ) from None


def _shown(text: object) -> str:
    """Return what was given, short and printable."""
    shown = ascii(text[: MAX_LENGTH + 1]) if isinstance(text, str) else f"A {type(text).__name__}"
    return shown if len(shown) <= MAX_LENGTH else f"{shown[:MAX_LENGTH]}..."
