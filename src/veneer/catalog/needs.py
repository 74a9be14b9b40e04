"""What a call needs its model to be able to do."""

from types import MappingProxyType

from veneer.call import Call
from veneer.catalog.guards import refusal
from veneer.catalog.model import Capability, Model
from veneer.dialects import Kind

# For want of what a call is refused: all that a model may be refused for of which nothing else is
# known than what it can do.
WANTING = MappingProxyType[Kind, Capability](
    {
        Kind.STREAMING_UNSUPPORTED: "streaming",
        Kind.TOOLS_UNSUPPORTED: "tools",
        Kind.TOOL_CHOICE_UNSUPPORTED: "tool_choice_required",
        Kind.VISION_UNSUPPORTED: "vision",
        Kind.JSON_MODE_UNSUPPORTED: "json_object",
        Kind.JSON_SCHEMA_UNSUPPORTED: "json_schema",
        Kind.REASONING_UNSUPPORTED: "reasoning",
    }
)


def needs_of(call: Call, body: bytes) -> frozenset[Capability]:
    """Return the capabilities that a call uses: those for want of which it would be refused."""
    found: frozenset[Capability] = frozenset()
    while (refused := refusal(Model(id="", capabilities=found), call, body)) is not None:
        found |= {WANTING[refused.kind]}
    return found
