"""The table of `veneer.toml` that says how the API speaks."""

from datetime import date
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.config.table import Name, Table


class LegacyTable(Table, frozen=True):
    """A route that has moved: callers get a 308 to where it is now, which keeps method and body."""

    from_: Annotated[Name, Meta(description="Where it was, such as `/v1/old`.")] = msgspec.field(
        name="from"
    )
    to: Annotated[Name, Meta(description="Where it is now, such as `/v1/new`.")]
    sunset: Annotated[
        date | None,
        Meta(description="Day (UTC) from which on it may be gone, told as `Sunset` (RFC 8594)."),
    ] = None


class DialectTable(Table, frozen=True):
    """Whose way of speaking is spoken, in errors, fields and receipts."""

    name: Annotated[
        Literal["openai", "aurous", "auriko"], Meta(description="Whose way of speaking it is.")
    ] = "openai"
    brand: Annotated[
        Name | None,
        Meta(description="Letters that the fields of `aurous` begin with; left out: `Aurous`."),
    ] = None
    versions: Annotated[
        list[Name] | None,
        Meta(
            description="Dates of the versions that clients of `aurous` may ask for, the default "
            "first; left out: its own."
        ),
    ] = None
    team_versions: Annotated[
        dict[str, Name] | None,
        Meta(
            description="Of these, the default of a team's keys, such as "
            '`{"team-a" = "2026-05-15"}`; a `default_api_version` among the attributes of a '
            "caller goes before it."
        ),
    ] = None
    public_lists: Annotated[
        bool,
        Meta(
            description="Show `auriko`'s lists of models and providers, `/directory/models` and "
            "`/registry/...`, to those who have no key, as it does; false asks for one. `deny` of "
            "`[operations]` takes them out."
        ),
    ] = True
    error_docs: Annotated[
        Name | None,
        Meta(
            description="Address of the documentation of errors, which those of `aurous` and "
            "`auriko` then name with their code."
        ),
    ] = None
    legacy: list[LegacyTable] = msgspec.field(default_factory=list)
