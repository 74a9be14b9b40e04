"""Fields: what whoever issues a key decides about it, and which decisions there can be."""

from collections.abc import Collection, Iterable, Mapping
from datetime import UTC, datetime

import msgspec

from veneer.budgets import notation as budget_notation
from veneer.facts import CLIENT_TAG
from veneer.operations import Allowed
from veneer.quotas import notation

SCOPES = frozenset({"read", "write", "full", "admin"})

MAX_TEXT = 200
MAX_ENTRIES = 100

# Databases, drivers and time zones disagree about what lies further out.
_EARLIEST = datetime(2000, 1, 1, tzinfo=UTC)
_LATEST = datetime(9000, 1, 1, tzinfo=UTC)


class FieldError(ValueError):
    """A field of a key that cannot be; `field` says which, and the text says what can be."""

    def __init__(self, field: str, sentence: str) -> None:
        super().__init__(sentence)
        self.field = field


class KeyFields(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the owner of a key decides about it; see `KeyRecord` for each."""

    name: str
    team: str | None = None
    user: str | None = None
    scopes: frozenset[str] = frozenset({"write"})
    operations: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    limits: Mapping[str, str] = {}
    budgets: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None

    def checked(self, now: datetime) -> "KeyFields":
        """Return these fields. Raises `FieldError` for the first that cannot be.

        Texts are 1 to 200 printable characters, collections have at most 100 of them, times are
        aware, and the key's end is to come. A limit is one of some unit: whose, the policies say. A
        budget is in dollars.
        """
        for field in ("name", "team", "user"):
            text = getattr(self, field)
            if text is not None and not is_text(text):
                raise FieldError(field, f"{field} must be 1 to {MAX_TEXT} printable characters.")
        for field in ("scopes", "operations", "models", "tags"):
            _check_collection(field, getattr(self, field) or ())
        for field in ("limits", "budgets"):
            entries = getattr(self, field)
            _check_collection(field, entries)
            _check_collection(field, entries.values())
        check_tags(self.tags)
        check_limits(self.limits)
        check_budgets(self.budgets)
        self._check_permissions()
        self._check_times(now)
        return self

    def _check_permissions(self) -> None:
        there_are = f"there are {', '.join(sorted(SCOPES))}"
        if not self.scopes:
            raise FieldError("scopes", f"scopes needs at least one: {there_are}.")
        for scope in sorted(self.scopes - SCOPES):
            raise FieldError("scopes", f"scopes has {scope!r}: {there_are}.")
        for field in ("operations", "models"):
            narrowed = getattr(self, field)
            if narrowed is not None and not narrowed:
                raise FieldError(field, f"{field} is empty: leave it out to allow all.")
        for operation in sorted(self.operations or ()):
            try:
                Allowed([operation])
            except ValueError as error:
                raise FieldError("operations", str(error)) from error

    def _check_times(self, now: datetime) -> None:
        for field in ("not_before", "expires_at"):
            moment = getattr(self, field)
            if moment is None:
                continue
            if moment.utcoffset() is None:
                raise FieldError(field, f"{field} needs a time zone, such as Z for UTC.")
            if not _EARLIEST <= moment <= _LATEST:
                raise FieldError(
                    field, f"{field} must lie between {_EARLIEST.year} and {_LATEST.year}."
                )
        if self.expires_at is not None:
            if self.expires_at <= now:
                raise FieldError("expires_at", "expires_at has passed already.")
            if self.not_before is not None and self.expires_at <= self.not_before:
                raise FieldError("expires_at", "expires_at must be after not_before.")


def check_tags(tags: Iterable[str]) -> None:
    """Raise `FieldError` for the first tag that is kept for those of clients."""
    for tag in tags:
        if tag.startswith(CLIENT_TAG):
            raise FieldError(
                "tags", f"tags has {tag!r}: {CLIENT_TAG} begins the tags that clients give."
            )


def check_limits(limits: Mapping[str, str]) -> None:
    """Raise `FieldError` for the first limit that is none in any unit."""
    for name, limit in limits.items():
        try:
            notation.check(limit)
        except ValueError as error:
            raise FieldError("limits", f"limits has {name!r}: {error}") from error


def check_budgets(budgets: Mapping[str, str]) -> None:
    """Raise `FieldError` for the first budget that is none."""
    for name, budget in budgets.items():
        try:
            budget_notation.parse(budget)
        except ValueError as error:
            raise FieldError("budgets", f"budgets has {name!r}: {error}") from error


def is_text(text: str) -> bool:
    """Whether a text may stand in a record: 1 to 200 printable characters."""
    return 0 < len(text) <= MAX_TEXT and text.isprintable()


def _check_collection(field: str, texts: Collection[str]) -> None:
    if len(texts) > MAX_ENTRIES:
        raise FieldError(field, f"{field} has {len(texts)} entries: give at most {MAX_ENTRIES}.")
    if not all(map(is_text, texts)):
        raise FieldError(
            field, f"{field} has an entry that is not 1 to {MAX_TEXT} printable characters."
        )
