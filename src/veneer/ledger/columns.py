"""The columns of a row, as every database has them, with values that every database takes."""

from collections.abc import Mapping
from functools import lru_cache
from math import isfinite

import msgspec

from veneer.facts import Usage
from veneer.ledger.entry import Account, Entry, Hold, Settlement, State
from veneer.prices.money import MOST

# Written with the hold. `amount` is what is held. Flags are 0 or 1, here and below: SQLite's driver
# looks long for what a value might be that is no number and no text.
OPENED = (
    "call",
    "at",
    "amount",
    "request_id",
    "key_id",
    "team",
    "user_id",
    "tags",
    "operation",
    "model",
    "stream",
)

USAGE = (
    "input_tokens",
    "output_tokens",
    "total_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "reasoning_tokens",
    "input_audio_tokens",
    "output_audio_tokens",
    "input_image_tokens",
    "output_image_tokens",
    "seconds",
    "malformed",
)

# Written with the settlement. `parts` are a JSON object, for their names are anybody's; the columns
# of the usage are NULL where there is none.
CLOSED = (
    "state",
    "closed_at",
    "total",
    "parts",
    "estimated",
    "price_version",
    "priced_model",
    "answered_model",
    "target",
    "status",
    "latency",
    "first_event",
    *USAGE,
)

# Characters of a text: more is no name, but an attempt to fill the disk. And tags of a row.
LONGEST = 512
MOST_TAGS = 64

# Names of those who answer, at what price, that are known to be plain.
MAX_REMEMBERED = 256

_LARGEST = 2**63 - 1
_STATUSES = 1000
_NO_USAGE = (None,) * len(USAGE)
_ENDS = frozenset[State](["completed", "failed", "disconnected", "cut", "released"])

_STRANGE_END = "No call ends as %r: that is the ledger's own word."

_encode = msgspec.json.Encoder().encode


def opened(hold: Hold) -> tuple[object, ...]:
    """Return the values of `OPENED`. Raises ValueError for an amount or a call that cannot be."""
    if not 0 <= hold.amount <= MOST:
        raise ValueError(f"A hold is of 0 to {MOST} picodollars, not {hold.amount}.")
    call, request_id, key, team, user = hold.call, hold.request_id, hold.key, hold.team, hold.user
    operation, model = hold.operation, hold.model
    tags, at = hold.tags, hold.at
    # All at once: this is on the way of every call, and hardly ever is anything wrong.
    names = "".join(tags) if tags else ""
    if not is_id(call):
        raise ValueError(f"A call's id is of 1 to {LONGEST} printable ASCII characters.")
    if not _is_plain(
        f"{request_id or ''}{key or ''}{team or ''}{user or ''}{operation}{model or ''}{names}"
    ):
        request_id, key, team, user = _text(request_id), _text(key), _text(team), _text(user)
        operation, model = _text(operation) or "", _text(model)
        tags = tuple(_text(tag) or "" for tag in tags[:MOST_TAGS])
    return (
        call,
        at if isfinite(at) else 0.0,
        hold.amount,
        request_id,
        key,
        team,
        user,
        _encode(tags).decode() if tags else "[]",
        operation,
        model,
        1 if hold.stream else 0,
    )


def closed(settlement: Settlement) -> tuple[object, ...]:
    """Return the values of `CLOSED`. Raises ValueError for an amount or a state that cannot be."""
    if settlement.state not in _ENDS:
        raise ValueError(_STRANGE_END % settlement.state)
    return ended(settlement)


def settled(settlement: Settlement) -> tuple[object, ...] | None:
    """Return what `closed` does, None where there is no row to close, nor one to be made.

    Raises ValueError as `closed` does, and for a hold that cannot be or is of another call.
    """
    if settlement.state not in _ENDS:
        raise ValueError(_STRANGE_END % settlement.state)
    columns, hold = ended(settlement), settlement.hold
    if hold is None:
        return columns if is_id(settlement.call) else None
    opened(hold)
    if hold.call != settlement.call:
        raise ValueError("A settlement and its hold are of one call.")
    return columns


def ended(settlement: Settlement) -> tuple[object, ...]:
    """Return the values of `CLOSED`, also for what the ledger itself has closed."""
    if not 0 <= settlement.total <= MOST:
        raise ValueError(f"A call costs 0 to {MOST} picodollars, not {settlement.total}.")
    version, priced = settlement.price_version, settlement.priced_model
    answered, target = settlement.answered_model, settlement.target
    latency, first_event = settlement.latency, settlement.first_event
    parts = settlement.parts
    if not _are_plain(version, priced, answered, target, *parts):
        version, priced, answered = _text(version), _text(priced), _text(answered)
        target = _text(target)
        parts = {_text(name) or "": part for name, part in parts.items()}
    if not isfinite((latency or 0.0) + (first_event or 0.0)):
        latency = first_event = None
    usage, status, at = settlement.usage, settlement.status, settlement.at
    if status is not None and not 0 <= status < _STATUSES:
        status = None
    columns = (
        settlement.state,
        at if isfinite(at) else 0.0,
        settlement.total,
        _parts(parts) if parts else "{}",
        1 if settlement.estimated else 0,
        version,
        priced,
        answered,
        target,
        status,
        latency,
        first_event,
    )
    return columns + (_NO_USAGE if usage is None else _counts(usage))


def entry(row: tuple[object, ...], accounts: tuple[Account, ...]) -> Entry:
    """Return the entry of a row that has the values of `OPENED`, then those of `CLOSED`."""
    begin = dict(zip(OPENED, row, strict=False))
    end = dict(zip(CLOSED, row[len(OPENED) :], strict=True))
    begin |= {"accounts": accounts, "key": begin.pop("key_id"), "user": begin.pop("user_id")}
    begin["tags"] = msgspec.json.decode(str(begin["tags"]))
    hold = msgspec.convert(begin, Hold, strict=False)
    if end["state"] == "held":
        return Entry(hold, None)
    usage = {name: end.pop(name) for name in USAGE}
    end |= {"call": hold.call, "at": end.pop("closed_at")}
    end["parts"] = msgspec.json.decode(str(end["parts"]))
    end["usage"] = None if usage["input_tokens"] is None else usage
    return Entry(hold, msgspec.convert(end, Settlement, strict=False))


def unclosed() -> dict[str, object]:
    """Return the values of `CLOSED` that a row has before its end, by their columns."""
    none = ended(Settlement(call="", state="held", at=0.0))
    return {**dict(zip(CLOSED, none, strict=True)), "closed_at": None}


def _parts(parts: Mapping[str, int]) -> str:
    try:
        return _encode(parts).decode()
    except OverflowError as error:
        raise ValueError("A part of a cost is beyond all bounds.") from error


def _counts(usage: Usage) -> tuple[object, ...]:
    """Return the values of `USAGE`, which are the members of a usage in their order."""
    if _fits(usage):
        return (*msgspec.structs.astuple(usage)[:-1], 1 if usage.malformed else 0)
    *whole, seconds, malformed = msgspec.structs.astuple(usage)
    return (
        *(max(0, min(each, _LARGEST)) for each in whole),
        seconds if isfinite(seconds) else 0.0,
        1 if malformed else 0,
    )


def _fits(usage: Usage) -> bool:
    """Whether all databases take the numbers of a usage as they are."""
    try:
        # This has every bit that one of them has: it is no less than any, and negative if one is.
        bits = (
            usage.input_tokens
            | usage.output_tokens
            | usage.total_tokens
            | usage.cached_input_tokens
            | usage.cache_write_tokens
            | usage.reasoning_tokens
            | usage.input_audio_tokens
            | usage.output_audio_tokens
            | usage.input_image_tokens
            | usage.output_image_tokens
        )
    except TypeError:
        # A host may have put one that are not all whole.
        return False
    return 0 <= bits <= _LARGEST and isfinite(usage.seconds)


def is_id(text: str) -> bool:
    """Whether a text can be the id of a call."""
    return text.isascii() and text.isprintable() and 0 < len(text) <= LONGEST


def _is_plain(text: str) -> bool:
    """Whether all databases take a text as it is."""
    return text.isascii() and "\0" not in text and len(text) <= LONGEST


@lru_cache(MAX_REMEMBERED)
def _are_plain(*texts: str | None) -> bool:
    """Whether all databases take texts as they are; of these, one call has the same as others."""
    return _is_plain("".join(filter(None, texts)))


def _text(text: str | None) -> str | None:
    """Return a text cut to its bound, without what UTF-8 or a database does not have."""
    if text is None:
        return None
    return text[:LONGEST].replace("\0", "").encode("utf-8", "replace").decode()
