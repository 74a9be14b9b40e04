"""The body of a responses request, and what it asks of the model."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .answer import Ask, Choice, Shape, Tool
from .bounds import check_bounds
from .chat_request import Name, find_tool
from .error import DemoError
from .responses_input import Item, read_input
from .tokens import check_context, count_json


class FunctionTool(msgspec.Struct, frozen=True):
    """A function on offer to the model."""

    type: Literal["function"]
    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    """The function that the model has to call."""

    type: Literal["function"]
    name: str


class TextFormat(msgspec.Struct, frozen=True, omit_defaults=True):
    """The form of the answer."""

    type: Literal["text", "json_object", "json_schema"]
    name: Name | None = None
    schema: dict[str, Any] | None = None
    description: str | None = None
    strict: bool | None = None


class TextConfig(msgspec.Struct, frozen=True):
    """How the text of the answer is given."""

    format: TextFormat | None = None


class ResponseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the body that the demo model heeds; the others are ignored."""

    model: str
    input: str | list[Item]
    instructions: str | None = None
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    stream: bool | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    text: TextConfig | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    tools: Annotated[list[FunctionTool], Meta(max_length=128)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    background: bool | None = None
    conversation: object = None
    previous_response_id: str | None = None
    prompt: object = None


def read_ask(request: ResponseRequest) -> tuple[Ask, int]:
    """Return what is asked and the tokens of the input; raise DemoError for what cannot be.

    The input is the items and instructions (see `read_input`) and the compact JSON of the tools.
    """
    _check(request)
    transcript = read_input(request.input, request.instructions)
    tools = _tools(request)
    tokens = transcript.tokens + (count_json(request.tools) if request.tools else 0)
    check_context(tokens, "input")
    choice, tools = _choose(request, tools)
    ask = Ask(
        text=transcript.text,
        results=transcript.results,
        tools=tools,
        choice=choice,
        parallel=request.parallel_tool_calls is not False,
        shape=_shape(request.text),
        limit=request.max_output_tokens,
    )
    return ask, tokens


def _check(request: ResponseRequest) -> None:
    """Refuse what needs a memory: the demo server keeps no response."""
    if request.previous_response_id is not None:
        raise DemoError(
            f"Previous response with id '{request.previous_response_id[:128]}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    for name in ("background", "conversation", "prompt"):
        if getattr(request, name):
            raise DemoError(
                f"Unsupported parameter: '{name}'. The demo server keeps nothing between requests.",
                param=name,
                code="unsupported_parameter",
            )
    if request.tool_choice not in {None, "none", "auto"} and not request.tools:
        raise DemoError("'tool_choice' is only allowed when 'tools' is given.", param="tool_choice")


def _tools(request: ResponseRequest) -> tuple[Tool, ...]:
    tools = []
    for place, tool in enumerate(request.tools or ()):
        param = f"tools[{place}].parameters"
        check_bounds(tool.parameters, param)
        tools.append(Tool(tool.name, tool.parameters or {}, param))
    return tuple(tools)


def _choose(request: ResponseRequest, tools: tuple[Tool, ...]) -> tuple[Choice, tuple[Tool, ...]]:
    wanted = request.tool_choice or "auto"
    if isinstance(wanted, str):
        return wanted, tools
    return "named", find_tool(wanted.name, tools, "tool_choice")


def _shape(text: TextConfig | None) -> Shape | None:
    wanted = text.format if text else None
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Shape()
    if wanted.schema is None:
        raise DemoError(
            "Missing required parameter: 'text.format.schema'.",
            param="text.format.schema",
            code="missing_required_parameter",
        )
    check_bounds(wanted.schema, "text.format.schema")
    return Shape(wanted.schema, "text.format.schema")
