"""The tables of `veneer.toml` that say how much callers may use."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.config.table import STORE, Count, Name, Seconds, Table

Limit = Name | Annotated[int, Meta(ge=1)]


class PolicyTable(Table, frozen=True):
    """One limit: so much of a unit, in a time, for each."""

    limit: Annotated[
        Limit,
        Meta(
            description='How much: `"60/minute; 10000/day"` for requests and tokens, a number for '
            'concurrent requests, `"unlimited"` where only the exceptions count.'
        ),
    ]
    unit: Annotated[
        Literal["requests", "tokens", "concurrent-requests"],
        Meta(description="What is counted; tokens of chat, completions, responses, embeddings."),
    ] = "requests"
    name: Annotated[
        Name | None,
        Meta(
            description="What the `limits` of keys call it, which stand in its place; left out: "
            "the unit."
        ),
    ] = None
    partition: Annotated[
        Name | Annotated[list[Name], Meta(min_length=1)],
        Meta(
            description="Whose use is counted together: that of each `key`, `team`, `user`, `tag`, "
            "`model`, `operation` or `peer`, of `all`, or of each combination in a list."
        ),
    ] = "key"
    strict: Annotated[
        bool,
        Meta(
            description="Never more than the limit in any window whatever. False: what comes back "
            "evenly may be used besides a full quota."
        ),
    ] = False
    on_failure: Annotated[
        Literal["open", "closed", "local"],
        Meta(
            description="While the store is out of reach: `open` admits, `closed` answers 503, "
            "`local` counts in each process alone."
        ),
    ] = "local"
    models: Annotated[
        dict[str, Limit],
        Meta(description='Limits for models, by patterns: `{"gpt-4o-mini*" = "600/minute"}`.'),
    ] = msgspec.field(default_factory=dict)
    operations: Annotated[
        dict[str, Limit],
        Meta(description='Limits for operations: `{"embeddings" = "600/minute"}`.'),
    ] = msgspec.field(default_factory=dict)


class RateLimitTable(Table, frozen=True):
    """How much callers may use (`RateLimitMiddleware`), by one `[[ratelimit.policies]]` each."""

    store: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="Who counts: `memory://`, this process; `shared:///path`, all processes of "
            "this machine; `redis://host`, all machines; one with a password as `env:NAME` or "
            "`file:PATH`. Left out: this process, or all `[serve] workers`."
        ),
    ] = None
    timeout: Annotated[
        Seconds,
        Meta(description="Seconds in which the store must answer, else it counts as out of reach."),
    ] = 0.05
    estimate: Annotated[
        Literal["bound", "openai"],
        Meta(
            description="What a call takes before its use is known: `bound`, no less than its "
            "input can have by its bytes and its output cap; `openai`, the greater of the cap and "
            "a quarter of its characters."
        ),
    ] = "bound"
    output_tokens: Annotated[
        Count, Meta(description="Output that is taken for a call that names no cap.")
    ] = 1024
    upstream_fields: Annotated[
        Literal["hide", "pass", "merge"],
        Meta(
            description="The upstream's own fields about its limits: hidden, passed on in place of "
            "ours, or merged so that the stricter stand."
        ),
    ] = "hide"
    draft: Annotated[
        Literal["draft-11", "draft-7"] | None,
        Meta(description="Add the fields `RateLimit` and `RateLimit-Policy` of this IETF draft."),
    ] = None
    max_wait: Annotated[
        float,
        Meta(
            ge=0,
            le=600,
            description="Seconds that a call may wait its turn in place of a 429; 0: none.",
        ),
    ] = 0.0
    max_waiting: Annotated[
        Count, Meta(description="Calls that may wait so at a time, in each worker.")
    ] = 1000
    policies: list[PolicyTable] = msgspec.field(default_factory=list)
