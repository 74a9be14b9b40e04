"""The tables of `veneer.toml` that say which models there are."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from veneer.catalog.discovery import DEFAULT_REFRESH
from veneer.catalog.model import Capability, ModelKind
from veneer.config.table import Count, Name, Seconds, Table
from veneer.layers.models import MAX_FORM


class ModelTable(Table, frozen=True):
    """One model; what is left out is not known, and nothing is refused for it."""

    id: Annotated[
        Name,
        Meta(
            description="The name that the upstream knows it by, or a pattern (`llama-*`) for all "
            "that match."
        ),
    ]
    kind: Annotated[
        ModelKind | None, Meta(description="What it is for: other operations are refused.")
    ] = None
    context_window: Annotated[
        Count | None, Meta(description="Tokens that it takes: what is certainly over is refused.")
    ] = None
    output_cap: Annotated[
        Count | None, Meta(description="Tokens that it writes at most: a higher cap is refused.")
    ] = None
    dimensions: Annotated[
        list[Count] | None, Meta(description="Lengths of vectors that an embedding can have.")
    ] = None
    capabilities: Annotated[
        list[Capability] | None,
        Meta(description="What it can do; calls that need another of these are refused."),
    ] = None
    unsupported_parameters: Annotated[
        list[Name],
        Meta(
            description="Members of a body that it does not know (`seed`, `logprobs`): they are "
            "left out, and the client is told where its dialect has a place for that. Not those "
            "that make the call, such as `messages` or `tools`."
        ),
    ] = msgspec.field(default_factory=list)
    aliases: Annotated[
        list[Name],
        Meta(description="Further names that clients may use, or patterns (`gpt-4*`) of them."),
    ] = msgspec.field(default_factory=list)
    owned_by: Annotated[str, Meta(description="Whose it is, for lists.")] = ""
    created: Annotated[
        int, Meta(ge=0, description="When it was made, in seconds since 1970, for lists.")
    ] = 0
    listed: Annotated[bool, Meta(description="Lists of models show it.")] = True


class CatalogTable(Table, frozen=True):
    """Which models there are (`ModelsMiddleware`): with a model, a default, or `discover`."""

    discover: Annotated[
        bool, Meta(description="The upstream's own models count, too; its `/models` is asked.")
    ] = False
    refresh: Annotated[
        Seconds, Meta(description="Seconds after which the upstream is asked again.")
    ] = DEFAULT_REFRESH
    default: Annotated[Name | None, Meta(description="The model of calls that name none.")] = None
    show: Annotated[
        Literal["upstream", "requested", "resolved"],
        Meta(
            description="The name in answers: the upstream's own word, the one that was asked for, "
            "or the one that it stands for."
        ),
    ] = "requested"
    unsupported: Annotated[
        Literal["refuse", "drop"],
        Meta(
            description="What becomes of `reasoning_effort`, `reasoning` and a `tool_choice` of "
            "`required` for a model without that capability: the call is refused, or made without "
            "them, and the client is told as of `unsupported_parameters`. What would change the "
            "answer (images, tools, JSON, dimensions, caps) is refused either way."
        ),
    ] = "refuse"
    max_form: Annotated[
        Count,
        Meta(
            description="Bytes of an upload that may come before its `model`, which are held until "
            "then, else 413; what follows goes on as it comes."
        ),
    ] = MAX_FORM
    models: Annotated[list[ModelTable], Meta(description="Models, each in its own table.")] = (
        msgspec.field(default_factory=list)
    )
