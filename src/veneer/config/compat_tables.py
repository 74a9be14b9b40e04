"""The tables of `veneer.toml` that say what the target does not know by itself."""

from typing import Annotated, Literal

from msgspec import Meta

from veneer.config.table import Count, Table
from veneer.embeddings.inputs import Caps
from veneer.embeddings.planning import MAX_ITEMS
from veneer.layers.embeddings import PARALLEL

_CAPS = Caps()

Most = Annotated[int, Meta(ge=0)]


class CompatTable(Table, frozen=True):
    """What the upstream knows of chat completions (`CompatMiddleware`)."""

    legacy_functions: Annotated[
        bool,
        Meta(
            description="Say `functions` and `function_call` of clients to the upstream as tools, "
            "and its calls to them as functions; false for an upstream that knows both."
        ),
    ] = True
    functions_only: Annotated[
        bool,
        Meta(
            description="The upstream knows only functions: tools of clients are said to it as "
            "such, and functions are left as they are."
        ),
    ] = False
    parallel_tool_calls: Annotated[
        bool,
        Meta(
            description="Ask for one call at a time where functions are said as tools; false for "
            "models that refuse `parallel_tool_calls`."
        ),
    ] = True
    max_tokens: Annotated[
        Literal["max_tokens", "max_completion_tokens"] | None,
        Meta(description="The one name that the upstream has for the cap. Left out: both."),
    ] = None
    developer_role: Annotated[
        bool,
        Meta(
            description="The upstream knows messages of developers; false gives them to it as the "
            "system's."
        ),
    ] = True
    check: Annotated[
        bool,
        Meta(
            description="Refuse calls without messages, or with a `tool_choice` that OpenAI does "
            "not know; false leaves them to the upstream."
        ),
    ] = True


class EmbeddingsTable(Table, frozen=True):
    """How embeddings are served (`EmbeddingsMiddleware`)."""

    batches: Annotated[
        Literal["refuse", "fan-out", "pass"],
        Meta(
            description="What becomes of a batch for a model of `[catalog]` whose `capabilities` "
            "are known and have no `embeddings_batch`: `fan-out` asks for each item alone."
        ),
    ] = "refuse"
    allow_singleton_list: Annotated[
        bool,
        Meta(description="A list of one text is that text, where batches are refused."),
    ] = False
    parallel: Annotated[
        Count, Meta(description="Items of one batch that are asked for at the same time.")
    ] = PARALLEL
    max_items: Annotated[
        Count, Meta(description="Items that a batch may have to be taken apart.")
    ] = MAX_ITEMS
    encoding: Annotated[
        Literal["upstream", "local"],
        Meta(
            description="Who writes base64: the upstream, whose floats are rewritten all the same "
            "if it does not, or always we, for one that refuses to be asked for it."
        ),
    ] = "upstream"
    max_parts: Annotated[Most, Meta(description="Content parts that an input may have.")] = (
        _CAPS.parts
    )
    max_images: Annotated[Most, Meta(description="Images among them.")] = _CAPS.images
    max_videos: Annotated[Most, Meta(description="Videos among them.")] = _CAPS.videos
    max_text: Annotated[Most, Meta(description="Characters of a text among them.")] = _CAPS.text
    max_url: Annotated[Most, Meta(description="Characters of a URL in them.")] = _CAPS.url
