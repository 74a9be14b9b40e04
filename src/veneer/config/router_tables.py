"""The tables of `veneer.toml` that say who may answer calls, and how that is chosen."""

from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.catalog.model import Capability
from veneer.config.compat_tables import CompatTable
from veneer.config.prices_tables import PriceTable
from veneer.config.table import STORE, Count, Name, Seconds, Secret, Table
from veneer.config.upstream_tables import UpstreamTable
from veneer.routing.preferences import DataPolicy, Optimize
from veneer.routing.target import SAME

DEFAULT_SECRET = "env:VENEER_OWN_KEYS_SECRET"  # noqa: S105 - where it is

Names = Annotated[list[Name], Meta(min_length=1)]


class TargetTable(UpstreamTable, frozen=True, kw_only=True):
    """One of several model servers behind the stack (`Router`), in place of `[upstream]`.

    It takes what `[upstream]` takes, and more. What `[[targets.prices]]` say is paid for it, which
    counts when one is chosen; what callers are charged is in `[prices]`.
    """

    name: Annotated[Name, Meta(description="What logs, receipts and clients call it.")]
    api_key: Annotated[
        Secret | Annotated[list[Secret], Meta(min_length=1)] | None,
        Meta(
            description="Key that the server is shown: `env:NAME` or `file:PATH`; of several, each "
            "takes its turn. What the client sent goes to none of several servers.",
        ),
    ] = None
    urls: Annotated[
        Names | None,
        Meta(description="In place of `url`: those of several replicas of one server."),
    ] = None
    dns: Annotated[
        Name | None,
        Meta(
            description="In place of `url`: one whose host has an address for each replica, such "
            "as that of a headless service."
        ),
    ] = None
    models: Annotated[
        Name | Names | Annotated[dict[Name, Name], Meta(min_length=1)],
        Meta(
            description="Its models, by their names in `[catalog]` or patterns of these: "
            '`"llama-*"`, `["a", "b"]`, or each with the name that it has there, `{"gpt-4o" = '
            '"azure-gpt4o"}`, where `"*"` is the same name.'
        ),
    ] = "*"
    weight: Annotated[float, Meta(ge=0, description="Its share where several do equally well.")] = (
        1.0
    )
    data_policy: Annotated[
        DataPolicy,
        Meta(
            description="What it promises of what it is sent: nothing, not to train with it, or to "
            "keep none of it (`zdr`)."
        ),
    ] = "none"
    tier: Annotated[
        Name | None, Meta(description="Its service tier, for calls that ask for one.")
    ] = None
    capabilities: Annotated[
        list[Capability] | None,
        Meta(description="What it can do, whatever its models can; left out: all that they can."),
    ] = None
    context_window: Annotated[
        Count | None, Meta(description="Tokens that it takes; left out: as its models.")
    ] = None
    output_cap: Annotated[
        Count | None, Meta(description="Tokens that it writes at most; left out: as its models.")
    ] = None
    unknown_parameters: Annotated[
        list[Name],
        Meta(description="Members of a body that it does not know, and is not sent."),
    ] = msgspec.field(default_factory=list)
    max_concurrent: Annotated[
        Count | None, Meta(description="Calls that each worker makes of it at once.")
    ] = None
    requests_per_minute: Annotated[
        Count | None, Meta(description="Calls that each worker makes of it in a minute.")
    ] = None
    own_keys: Annotated[
        bool,
        Meta(description="Callers may have keys of their own for it, which go first."),
    ] = False
    platform: Annotated[
        bool,
        Meta(
            description="There is a key for it here, or it needs none; false where only keys of "
            "callers' own count."
        ),
    ] = True
    compat: CompatTable = msgspec.field(default_factory=CompatTable)
    prices: list[PriceTable] = msgspec.field(default_factory=list)


def models_of(table: TargetTable) -> Mapping[str, str]:
    """Return the models of a target by their names in the catalog, as the router takes them."""
    models = [table.models] if isinstance(table.models, str) else table.models
    return models if isinstance(models, dict) else dict.fromkeys(models, SAME)


class RouterTable(Table, frozen=True):
    """How calls are shared out among `[[targets]]`."""

    optimize: Annotated[
        Optimize | None,
        Meta(
            description="What counts for calls that do not say it: what they cost, the time to the "
            "first event, tokens a second, or all alike. Left out: `cost-focus`."
        ),
    ] = None
    data_policy: Annotated[
        DataPolicy,
        Meta(description="The least that targets promise, for calls that do not say it."),
    ] = "none"
    gateway: Annotated[
        bool | None,
        Meta(
            description="Calls may say how they are routed, in their member `gateway` and behind "
            "the model's name (`:cost`). Left out: where the dialect has it."
        ),
    ] = None
    tries: Annotated[
        Count, Meta(description="How often a call is tried at most, each time otherwise.")
    ] = 3
    try_timeout: Annotated[
        Seconds, Meta(description="Seconds in which a stream's first event must come.")
    ] = 60.0
    whole_timeout: Annotated[
        Seconds, Meta(description="Seconds in which an answer that comes whole must begin.")
    ] = 300.0
    deadline: Annotated[
        Seconds, Meta(description="Seconds that all tries of a call may take until one answers.")
    ] = 600.0
    affinity: Annotated[
        bool,
        Meta(description="Calls of the same long beginning go where that is likely cached."),
    ] = True
    health_interval: Annotated[
        Seconds | None,
        Meta(
            description="Seconds after which targets are asked again whether they are there; left "
            "out: calls find that out."
        ),
    ] = None


class OwnKeysTable(Table, frozen=True):
    """Keys that callers have of their own for `[[targets]]`; needs `veneer[byok]`."""

    store: Annotated[
        Annotated[str, Meta(min_length=1, extra={STORE: True})] | None,
        Meta(
            description="Where `veneer provider-keys` keeps them, sealed: `sqlite:///veneer.db` or "
            "`postgresql://host/database`; one with a password as `env:NAME` or `file:PATH`."
        ),
    ] = None
    secret: Annotated[
        Secret | Annotated[list[Secret], Meta(min_length=1)],
        Meta(
            description="Where the secret is that they are sealed under: `env:NAME` or "
            "`file:PATH`; at least 32 characters, as `openssl rand -hex 32` makes them. Of "
            "several, the first seals and all open: put a new one first, seal anew by `veneer "
            "provider-keys reseal`, and drop the old one."
        ),
    ] = DEFAULT_SECRET
    refresh: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds after which the store is asked again for a caller's keys.",
        ),
    ] = 15.0
    grace: Annotated[
        float,
        Meta(
            ge=0,
            le=86400,
            description="Seconds that known keys go on counting while the store does not answer. "
            "Calls of callers whose keys are not known go on with the operator's meanwhile; those "
            "that say `only_byok` are refused.",
        ),
    ] = 3600.0
    calls: Annotated[
        Literal["free", "charge"],
        Meta(description="Calls that are made with them cost their callers nothing here, or all."),
    ] = "free"
