"""The tables of `veneer.toml` that say where costs are written, and how much may be spent."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.config.table import FILE, STORE, Amount, Count, Name, Secret, Table


class CostTable(Table, frozen=True):
    """How calls are charged (`CostMiddleware`), where `[prices]` has any."""

    ledger: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="Where each call is written: `sqlite:///file.db`, for all processes of "
            "this machine, over restarts, `postgresql://host/database`, for those of many, or "
            "`memory://`, which is gone with the process; as it is, or as `env:NAME` or "
            "`file:PATH`. Left out: `veneer-ledger.db` beside the configuration of `veneer serve`, "
            "else in memory."
        ),
    ] = None
    receipts: Annotated[
        bool,
        Meta(description="Answers tell what they cost, and streams their usage, asked for or not."),
    ] = True
    factor: Annotated[
        Amount,
        Meta(description="Room above the most that a call can cost, which is held before it."),
    ] = "1"
    output_tokens: Annotated[
        Count, Meta(description="Output that is held for a call that names no cap.")
    ] = 1024
    overrun: Annotated[
        Literal["charge", "cut"],
        Meta(
            description="A stream that costs more than was held for it: `charge` lets it go on and "
            "charges it, `cut` ends it there, with an error."
        ),
    ] = "charge"
    on_failure: Annotated[
        Literal["closed", "open"],
        Meta(
            description="While the ledger is away: `closed` answers 503, `open` makes calls "
            "outside all budgets and writes them when it is back."
        ),
    ] = "closed"
    spool: Annotated[
        Annotated[str, Meta(min_length=1, extra={FILE: True})] | None,
        Meta(
            description="Folder where calls wait on disk that the ledger cannot take while it is "
            "away, also over restarts; one for all processes with the same ledger, and none else. "
            'Left out, with `on_failure = "open"`: beside the file of an SQLite ledger, with '
            "`-spool` after its name; any other ledger needs it then."
        ),
    ] = None
    max_spool: Annotated[
        Count,
        Meta(
            description="Bytes that may wait there for each process; then no calls are made before "
            "the ledger is back."
        ),
    ] = 67108864
    # Marked as the URLs of stores are: it may be a secret in itself, and then is somewhere else.
    webhook: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="URL that is told of each `soft` threshold that is reached, as it is, or "
            "as `env:NAME` or `file:PATH`. Left out: they are only logged."
        ),
    ] = None
    webhook_secret: Annotated[
        Secret | None,
        Meta(
            description="Where the secret is that signs what the webhook sends, as Standard "
            "Webhooks has it: `whsec_` and 24 to 64 bytes in base64."
        ),
    ] = None


class BudgetTable(Table, frozen=True):
    """One budget: how much each may spend in a period."""

    limit: Annotated[
        Name,
        Meta(
            description='Dollars, such as `"20"` or `"0.50"`, or `"unlimited"`, which counts and '
            "refuses nothing."
        ),
    ]
    name: Annotated[
        Name | None,
        Meta(
            description="What the `budgets` of keys call it, which stand in its place; left out: "
            "the period."
        ),
    ] = None
    partition: Annotated[
        Name | Annotated[list[Name], Meta(min_length=1)],
        Meta(
            description="Whose spending is counted together: that of each `team`, `key`, `user`, "
            "`tag`, `model`, `operation` or `peer`, of `all`, or of each combination in a list."
        ),
    ] = "team"
    period: Annotated[
        Literal["hour", "day", "week", "month", "total"],
        Meta(description="The time after which it begins anew; `total`: never."),
    ] = "month"
    timezone: Annotated[
        Name, Meta(description='Whose midnight counts, such as `"Europe/Berlin"`.')
    ] = "UTC"
    reset_day: Annotated[
        int,
        Meta(
            ge=1,
            le=31,
            description="Day on which a week (1 is Monday) or a month begins; where a month has "
            "fewer, the last.",
        ),
    ] = 1
    soft: Annotated[
        list[Annotated[float, Meta(gt=0, le=1)]],
        Meta(
            description="Fractions of the limit, such as `[0.8, 0.95]`: when what is spent reaches "
            "one, that is logged, and the webhook told.",
        ),
    ] = msgspec.field(default_factory=list)
    disclosed: Annotated[bool, Meta(description="Callers may see the amounts of this budget.")] = (
        False
    )
