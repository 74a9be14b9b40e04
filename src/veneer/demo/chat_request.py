"""The body of a chat completion request, and what it asks of the model."""

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from .answer import Ask, Choice, Shape, Tool
from .bounds import check_bounds
from .chat_messages import Message, read_messages
from .error import DemoError
from .tokens import check_context, count_json

Name = Annotated[str, Meta(pattern="^[a-zA-Z0-9_-]{1,64}$")]


class FunctionSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A function on offer to the model."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None


class ToolSpec(msgspec.Struct, frozen=True):
    """A tool on offer; the demo model knows those of the type `function`."""

    type: Literal["function"]
    function: FunctionSpec


class NamedFunction(msgspec.Struct, frozen=True):
    """The function that the model has to call."""

    name: str


class ToolChoice(msgspec.Struct, frozen=True):
    """The tool that the model has to call."""

    type: Literal["function"]
    function: NamedFunction


class JsonSchema(msgspec.Struct, frozen=True):
    """The schema of an answer, by name."""

    name: Name
    schema: dict[str, Any] | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    """The form of an answer."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream carries beside its text."""

    include_usage: bool | None = None


Stop = str | Annotated[list[str], Meta(max_length=4)] | None


class ChatRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the body that the demo model heeds; the others are ignored."""

    model: str
    messages: Annotated[list[Message], Meta(min_length=1)]
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: Stop = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    tools: Annotated[list[ToolSpec], Meta(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    functions: Annotated[list[FunctionSpec], Meta(max_length=128)] | None = None
    function_call: Literal["none", "auto"] | NamedFunction | None = None
    response_format: ResponseFormat | None = None
    modalities: list[Literal["text"]] | None = None


def read_ask(request: ChatRequest) -> tuple[Ask, int]:
    """Return what is asked and the tokens of the prompt; raise DemoError for what cannot be.

    The prompt is the messages (see `read_messages`) and the compact JSON of the tools.
    """
    _check(request)
    transcript = read_messages(request.messages)
    tools = _tools(request)
    offered = [tool.function for tool in request.tools or ()] + (request.functions or [])
    tokens = transcript.tokens + (count_json(offered) if offered else 0)
    check_context(tokens, "messages")
    choice, tools = _choose(request, tools)
    limit = request.max_completion_tokens or request.max_tokens
    ask = Ask(
        text=transcript.text,
        results=transcript.results,
        tools=tools,
        choice=choice,
        parallel=request.parallel_tool_calls is not False and not request.functions,
        shape=_shape(request.response_format),
        limit=limit,
        stop=read_stop(request.stop),
    )
    return ask, tokens


def read_stop(stop: Stop) -> tuple[str, ...]:
    """Return the stop sequences; raise DemoError for an empty one."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if "" in stops:
        raise DemoError(
            "Invalid value for 'stop': a stop sequence is empty.",
            param="stop",
            code="invalid_value",
        )
    return stops


def _check(request: ChatRequest) -> None:
    if request.functions is not None and request.tools is not None:
        raise DemoError("'functions' and 'tools' cannot be given together.", param="functions")
    for name, needs in (
        ("tool_choice", "tools"),
        ("parallel_tool_calls", "tools"),
        ("function_call", "functions"),
        ("stream_options", "stream"),
    ):
        if getattr(request, name) is not None and not getattr(request, needs):
            raise DemoError(f"'{name}' is only allowed when '{needs}' is given.", param=name)


def _tools(request: ChatRequest) -> tuple[Tool, ...]:
    places = [
        (tool.function, f"tools[{place}].function.parameters")
        for place, tool in enumerate(request.tools or ())
    ] + [
        (function, f"functions[{place}].parameters")
        for place, function in enumerate(request.functions or ())
    ]
    for function, param in places:
        check_bounds(function.parameters, param)
    return tuple(
        Tool(function.name, function.parameters or {}, param) for function, param in places
    )


def _choose(request: ChatRequest, tools: tuple[Tool, ...]) -> tuple[Choice, tuple[Tool, ...]]:
    wanted = request.tool_choice or request.function_call or "auto"
    if isinstance(wanted, str):
        return wanted, tools
    name = wanted.function.name if isinstance(wanted, ToolChoice) else wanted.name
    param = "tool_choice" if request.tools else "function_call"
    return "named", find_tool(name, tools, param)


def find_tool(name: str, tools: tuple[Tool, ...], param: str) -> tuple[Tool, ...]:
    """Return the one tool of that name; raise DemoError if it is not on offer."""
    found = tuple(tool for tool in tools if tool.name == name)
    if not found:
        raise DemoError(
            f"Invalid value for '{param}': there is no tool '{name[:64]}' among those on offer.",
            param=param,
            code="invalid_value",
        )
    return found[:1]


def _shape(wanted: ResponseFormat | None) -> Shape | None:
    if wanted is None or wanted.type == "text":
        return None
    if wanted.type == "json_object":
        return Shape()
    if wanted.json_schema is None:
        raise DemoError(
            "Missing required parameter: 'response_format.json_schema'.",
            param="response_format.json_schema",
            code="missing_required_parameter",
        )
    param = "response_format.json_schema.schema"
    check_bounds(wanted.json_schema.schema, param)
    return Shape(wanted.json_schema.schema or {"type": "object"}, param)
