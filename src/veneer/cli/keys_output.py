"""What `veneer keys` prints: for people, or as JSON."""

import sys
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec

from veneer.cli.terminal import minute, print_table, shortened
from veneer.keys.record import KeyRecord

# What a program learns of a key; the digest is the store's own affair.
HIDDEN_FIELDS = frozenset({"digest"})
HEADINGS = ("ID", "KEY", "NAME", "TEAM", "SCOPES", "STATE", "EXPIRES", "LAST USED")


def state_of(record: KeyRecord, now: datetime) -> str:
    """Return `live`, `revoked`, `expired` or `pending` (not valid yet)."""
    if record.revoked_at is not None:
        return "revoked"
    if record.expires_at is not None and record.expires_at <= now:
        return "expired"
    if record.not_before is not None and now < record.not_before:
        return "pending"
    return "live"


def as_json(record: KeyRecord, now: datetime) -> dict[str, Any]:
    """Return what a program learns of a key."""
    document: dict[str, Any] = msgspec.to_builtins(record, order="sorted")
    shown = {name: value for name, value in document.items() if name not in HIDDEN_FIELDS}
    return {**shown, "state": state_of(record, now)}


def print_records(records: Sequence[KeyRecord], now: datetime) -> None:
    """Print a line for each key, under headings."""
    print_table([HEADINGS, *(_row(record, now) for record in records)], left=len(HEADINGS))


def print_record(record: KeyRecord, now: datetime) -> None:
    """Print all that is known of a key, a line each."""
    lines = {
        "id": record.id,
        "key": record.shown,
        "name": record.name,
        "state": state_of(record, now),
        "team": record.team,
        "user": record.user,
        "scopes": _words(record.scopes),
        "operations": _words(record.operations, otherwise="all"),
        "models": _words(record.models, otherwise="all"),
        "tags": _words(record.tags),
        "limits": _words(f"{key}={value}" for key, value in record.limits.items()),
        "budgets": _words(f"{key}={value}" for key, value in record.budgets.items()),
        "created": _time(record.created_at),
        "not before": _time(record.not_before),
        "expires": _time(record.expires_at),
        "revoked": _time(record.revoked_at),
        "last used": _time(record.last_used_at),
        "rotated from": record.rotated_from,
        "pepper": record.pepper_id,
    }
    for name, value in lines.items():
        print(f"{name:<14}{value or '-'}")


def print_secret(token: str, sentence: str, *, quiet: bool) -> None:
    """Print a key that is not to be seen again: alone, or under what is said of it.

    Only the key goes to standard output, so that it can be piped either way.
    """
    if not quiet:
        print(f"{sentence} It is shown this once:\n", file=sys.stderr, flush=True)
    print(token)


def _row(record: KeyRecord, now: datetime) -> tuple[str, ...]:
    return (
        record.id,
        record.shown,
        shortened(record.name),
        shortened(record.team or "-"),
        _words(record.scopes),
        state_of(record, now),
        _time(record.expires_at) or "-",
        _time(record.last_used_at) or "-",
    )


def _words(given: Iterable[str] | None, *, otherwise: str = "") -> str:
    if given is None:
        return otherwise
    return ",".join(sorted(given) if isinstance(given, frozenset) else given)


def _time(given: datetime | None) -> str:
    return "" if given is None else minute(given)
