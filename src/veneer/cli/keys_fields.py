"""From what was given on the command line to the fields of a key."""

from argparse import Namespace
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from veneer.cli.times import duration, moment
from veneer.keys.issuer import KeyFields
from veneer.wiring import ConfigurationError


def fields_of(given: Namespace, now: datetime) -> KeyFields:
    """Return the fields that the arguments of `create` and `import` describe.

    Raises `ConfigurationError` for an argument that cannot be read.
    """
    operations = _words(given.operations)
    models = _words(given.models)
    fields: dict[str, Any] = {
        "name": given.name,
        "team": given.team,
        "user": given.user,
        "operations": None if operations is None else frozenset(operations),
        "models": None if models is None else tuple(models),
        "limits": _pairs("--limit", given.limit),
        "budgets": _pairs("--budget", given.budget),
        "tags": tuple(_words(given.tags) or ()),
        "not_before": None if given.not_before is None else moment(given.not_before),
        "expires_at": _end(given, now),
    }
    scopes = _words(given.scopes)
    return KeyFields(**fields | ({} if scopes is None else {"scopes": frozenset(scopes)}))


def _end(given: Namespace, now: datetime) -> datetime | None:
    if given.expires_at is not None:
        return moment(given.expires_at)
    if given.expires_in is None:
        return None
    try:
        return now + duration(given.expires_in)
    except OverflowError:
        raise ConfigurationError(f"--expires-in {given.expires_in} is too far away.") from None


def _words(given: Sequence[str] | None) -> list[str] | None:
    """Return the words of an option that may be repeated and holds lists; None where not given."""
    if given is None:
        return None
    words = [word.strip() for text in given for word in text.split(",")]
    return list(dict.fromkeys(word for word in words if word))


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs: dict[str, str] = {}
    for text in given or ():
        key, separator, value = text.partition("=")
        if not (separator and key and value):
            raise ConfigurationError(f"{option} takes KEY=VALUE, not {text!r}.")
        pairs[key] = value
    return pairs
