"""Numbers in a body: caps, and how many answers and prompts there are; read from their text."""

import msgspec

# Beyond this, and in more text than that, a number is no cap that anything has: it counts as none.
MAX_COUNT = 10_000_000
MAX_DIGITS = 32

# The longest text that servers in Python read as a whole number has 4,300 digits.
MAX_QUOTED = 4400

_string = msgspec.json.Decoder(str)


def count(raw: msgspec.Raw) -> int | None:
    """Return the number from 1 to `MAX_COUNT` that a member is, also as `5.0`; None for others."""
    if not 0 < len(raw) <= MAX_DIGITS:
        return None
    text = bytes(raw)
    # The decoder has seen that it is a number if it begins like one.
    if not text[:1].isdigit():
        return None
    number = float(text)
    return int(number) if 1 <= number <= MAX_COUNT and number.is_integer() else None


def times(raw: msgspec.Raw) -> int:
    """Return the number that a member is, also in quotes, as some servers take it; 1 for others.

    It may have more digits than a cap: what is taken for 1 multiplies all the same.
    """
    size = len(raw)
    if size <= MAX_DIGITS and bytes(memoryview(raw)[:1]) != b'"':
        return count(raw) or 1
    if size > MAX_QUOTED:
        return 1
    try:
        number = float(_string.decode(raw) if bytes(memoryview(raw)[:1]) == b'"' else bytes(raw))
    except ValueError:
        return 1
    return int(number) if 1 <= number <= MAX_COUNT and number.is_integer() else 1


def is_unsaid(raw: msgspec.Raw) -> bool:
    """Whether a member is not there, or null."""
    return len(raw) <= len(b"null") and bytes(raw) in (b"", b"null")


def prompts_in(text: bytes) -> int:
    """Return how many prompts there are: texts, or lists of tokens, in a list.

    They are not decoded: the quotes around texts are counted, the brackets around lists.
    """
    if text[:1] != b"[":
        return 1
    inner = text[1:].lstrip()
    if inner[:1] == b"[":
        return text.count(b"[") - 1
    if inner[:1] != b'"':
        return 1
    plain = text.replace(b"\\\\", b"")
    return (plain.count(b'"') - plain.count(b'\\"')) // 2
