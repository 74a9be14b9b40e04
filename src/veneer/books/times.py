"""Times that people ask the books about."""

from datetime import UTC, datetime


def seconds_of(text: str) -> float:
    """Return a date or a time in seconds since the epoch; it is in UTC unless it says otherwise.

    A date alone is its beginning. Raises ValueError for a text that is neither.
    """
    found = datetime.fromisoformat(text)
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
