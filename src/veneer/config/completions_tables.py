"""The table of `veneer.toml` that says which completions can be asked for again."""

from typing import Annotated

from msgspec import Meta

from veneer.config.table import STORE, Count, Table


class CompletionsTable(Table, frozen=True):
    """Chats that can be asked for again, and cancelled, by their id (`CompletionsMiddleware`).

    What is kept is what models have written for a team, never what they were asked; only the team
    gets it. Where that is not to be, switch `content` off, or the whole.
    """

    enabled: Annotated[
        bool | None,
        Meta(
            description="Whether `GET /chat/completions/{id}` and `POST .../{id}/cancel` are "
            "served, and the ids of chats ours. Left out: as the dialect has it, where callers "
            "have keys and the operation `chat.completions.stored` of the upstream is not allowed: "
            "`aurous` does."
        ),
    ] = None
    content: Annotated[
        bool,
        Meta(
            description="Keep what the model wrote; false keeps only how a chat ended and what it "
            'used, as for calls that say `"store": false`.'
        ),
    ] = True
    store: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="Where they are kept: as `[idempotency] store`, which may be the same one. "
            "Left out: in this process, or for all `[serve] workers` until they stop."
        ),
    ] = None
    ttl: Annotated[float, Meta(gt=0, le=2592000, description="Seconds that one is kept.")] = 86400.0
    max_answer: Annotated[
        Count,
        Meta(
            description="Bytes up to which what the model wrote is kept; of more, only how it "
            "ended."
        ),
    ] = 1024 * 1024
    max_total: Annotated[
        Annotated[int, Meta(ge=1048576, le=9007199254740992)] | None,
        Meta(
            description="Bytes that all together may have; the oldest go first. Left out: 64 MiB "
            "in memory, 1 GiB in SQLite. Not for Redis, which has its own `maxmemory`."
        ),
    ] = None
