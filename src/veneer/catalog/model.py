"""A model, as far as it is known: its kind, its bounds, and what it can do."""

from types import MappingProxyType
from typing import Literal, get_args

import msgspec

from veneer.facts import RequestFact

ModelKind = Literal["chat", "embedding", "image", "speech", "transcription", "moderation"]
Capability = Literal[
    "tools",
    "tool_choice_required",
    "vision",
    "json_object",
    "json_schema",
    "reasoning",
    "streaming",
    "embeddings_batch",
]

CAPABILITIES = frozenset[str](get_args(Capability))

# What kind of model an operation asks for; others ask for none in particular.
KIND_OF = MappingProxyType[str, ModelKind](
    {
        "chat.completions": "chat",
        "completions": "chat",
        "responses": "chat",
        "embeddings": "embedding",
        "embeddings.estimate": "embedding",
        "images.generations": "image",
        "images.edits": "image",
        "images.variations": "image",
        "audio.speech": "speech",
        "audio.transcriptions": "transcription",
        "audio.translations": "transcription",
        "moderations": "moderation",
    }
)


class Provider(msgspec.Struct, frozen=True):
    """Who serves a model: by the name that answers have for it, and what it does with its data.

    `data_policy` is `none`, `no_training` or `zdr` (zero data retention); None where nobody knows.
    """

    name: str
    data_policy: str | None = None


# Members without which it is another call, or one whose cost has no bound.
ESSENTIAL = frozenset(
    [
        "functions",
        "input",
        "max_completion_tokens",
        "max_output_tokens",
        "max_tokens",
        "messages",
        "model",
        "prompt",
        "response_format",
        "stream",
        "text",
        "tools",
    ]
)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model; nothing is refused for what is not known of it, which is None.

    `id` is the name that the upstream knows it by, or a pattern (`*`, `?`, `[...]`) for many, which
    go by their own names; `aliases` are further names, or patterns of them. `context_window` and
    `output_cap` are in tokens, `dimensions` are the lengths of vectors that it can make.
    `unsupported_parameters` are members of calls that it does not know, and is not sent; ValueError
    for one of `ESSENTIAL`. `created` is in seconds since the epoch. `listed` is whether lists of
    models show it, and `providers` are those that lists name for it.
    """

    id: str
    kind: ModelKind | None = None
    context_window: int | None = None
    output_cap: int | None = None
    dimensions: tuple[int, ...] | None = None
    capabilities: frozenset[Capability] | None = None
    aliases: tuple[str, ...] = ()
    owned_by: str = ""
    created: int = 0
    listed: bool = True
    unsupported_parameters: tuple[str, ...] = ()
    providers: tuple[Provider, ...] = ()

    def __post_init__(self) -> None:
        essential = ESSENTIAL.intersection(self.unsupported_parameters)
        if essential:
            raise ValueError(
                f"The model {self.id!r} cannot be asked without {min(essential)!r}: say by its "
                "capabilities what it cannot do."
            )

    def can(self, capability: Capability) -> bool:
        """Whether it can do this, as far as that is known."""
        return self.capabilities is None or capability in self.capabilities


class Resolved(RequestFact, frozen=True):
    """The model of a call: the name that was asked for, and the model that it stands for."""

    requested: str
    model: Model
