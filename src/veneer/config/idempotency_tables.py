"""The table of `veneer.toml` that says how calls with an idempotency key are treated."""

from typing import Annotated, Literal

from msgspec import Meta

from veneer.config.table import STORE, Count, Name, Seconds, Table


class IdempotencyTable(Table, frozen=True):
    """What an `Idempotency-Key` does (`IdempotencyMiddleware`)."""

    enabled: Annotated[bool, Meta(description="Whether keys are looked at.")] = True
    store: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="Where answers are kept: `memory://`; `sqlite:///file`, for all processes "
            "of this machine, over restarts; `redis://host`, for all machines; one with a password "
            "as `env:NAME` or `file:PATH`. Left out: in this process, or for all `[serve] workers` "
            "until they stop."
        ),
    ] = None
    names: Annotated[
        Annotated[list[Name], Meta(min_length=1)] | None,
        Meta(
            description="Header fields that may hold a key; left out: `Idempotency-Key`, and the "
            "others that the dialect has."
        ),
    ] = None
    share: Annotated[
        Literal["team", "key"],
        Meta(description="Among whom a key is the same: a team, or one API key's calls."),
    ] = "team"
    streams: Annotated[
        Literal["dialect", "record", "ignore"],
        Meta(
            description="Streams are recorded and replayed, or run as if they had no key, or "
            "whichever the dialect has: `aurous` ignores their keys."
        ),
    ] = "dialect"
    in_flight: Annotated[
        Literal["follow", "conflict"],
        Meta(
            description="A duplicate of a call in flight follows it and gets the same answer, or "
            "gets a 409."
        ),
    ] = "follow"
    keep: Annotated[
        Literal["success", "answers"],
        Meta(
            description="Which answers are kept: those of status 2xx, or all but 408, 409, 429 and "
            "5xx; any other frees the key."
        ),
    ] = "success"
    ttl: Annotated[float, Meta(gt=0, le=2592000, description="Seconds that an answer is kept.")] = (
        86400.0
    )
    lease: Annotated[
        float,
        Meta(
            ge=1,
            le=3600,
            description="Seconds after which the call of a process that died may run again.",
        ),
    ] = 30.0
    detach: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that a call goes on when nobody waits for it any more; 0: not at "
            "all.",
        ),
    ] = 600.0
    max_request: Annotated[
        Count, Meta(description="Bytes that a request with a key may have, so as to be compared.")
    ] = 8 * 1024 * 1024
    oversized: Annotated[
        Literal["refuse", "pass"],
        Meta(description="A larger one gets 413, or runs as if it had no key."),
    ] = "refuse"
    max_answer: Annotated[
        Count, Meta(description="Bytes of an answer that are kept; a larger one is not replayed.")
    ] = 16 * 1024 * 1024
    max_total: Annotated[
        Annotated[int, Meta(ge=1048576, le=9007199254740992)] | None,
        Meta(
            description="Bytes that all answers together may have; the oldest go first. Left out: "
            "256 MiB in memory, 1 GiB in SQLite. Not for Redis, which has its own `maxmemory`."
        ),
    ] = None
    on_failure: Annotated[
        Literal["open", "closed"],
        Meta(
            description="While the store is out of reach: `open` runs calls without the promise, "
            "`closed` answers 503."
        ),
    ] = "closed"
    timeout: Annotated[
        Seconds,
        Meta(description="Seconds in which the store must answer, else it counts as out of reach."),
    ] = 2.0
