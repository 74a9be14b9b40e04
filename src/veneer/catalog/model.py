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
        "images.generations": "image",
        "images.edits": "image",
        "images.variations": "image",
        "audio.speech": "speech",
        "audio.transcriptions": "transcription",
        "audio.translations": "transcription",
        "moderations": "moderation",
    }
)


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """One model; nothing is refused for what is not known of it, which is None.

    `id` is the name that the upstream knows it by, or a pattern (`*`, `?`, `[...]`) for many, which
    go by their own names; `aliases` are further names, or patterns of them. `context_window` and
    `output_cap` are in tokens, `dimensions` are the lengths of vectors that it can make. `created`
    is in seconds since the epoch. `listed` is whether lists of models show it.
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

    def can(self, capability: Capability) -> bool:
        """Whether it can do this, as far as that is known."""
        return self.capabilities is None or capability in self.capabilities


class Resolved(RequestFact, frozen=True):
    """The model of a call: the name that was asked for, and the model that it stands for."""

    requested: str
    model: Model
