"""POST /v1/responses, without memory: nothing is stored, so nothing can be looked up later."""

from collections.abc import Iterator

import msgspec

from .answer import Answer, answers
from .exchange import Reply, Request, frame
from .responses_request import ResponseRequest, read_ask
from .responses_stream import item_events

Json = dict[str, object]


def response(request: Request) -> Reply:
    """Return the response object, or the events of its stream (which ends without `[DONE]`)."""
    body = request.decode(ResponseRequest)
    request.catalogue.require(body.model, "chat")
    ask, input_tokens = read_ask(body)
    written = _Response(
        request=request,
        body=body,
        given=answers(ask)[0],
        input_tokens=input_tokens,
        cached_tokens=request.cached(
            input_tokens, body.model, body.tools, body.instructions, body.input
        ),
    )
    return written.events() if body.stream else written.document()


class _Response(msgspec.Struct, frozen=True, kw_only=True):
    """A response ready to be written, whole or in events."""

    request: Request
    body: ResponseRequest
    given: Answer
    input_tokens: int
    cached_tokens: int

    def document(self) -> Json:
        """Return the response when it is over."""
        return self._document(
            "incomplete" if self.given.cut else "completed",
            completed_at=self.request.created,
            incomplete_details={"reason": "max_output_tokens"} if self.given.cut else None,
            output=self._items(),
            usage=self._usage(),
        )

    def events(self) -> Iterator[bytes]:
        """Yield the events, numbered from 0."""
        for number, event in enumerate(self._events()):
            yield frame({**event, "sequence_number": number}, str(event["type"]))

    def _events(self) -> Iterator[Json]:
        begun = self._document("in_progress")
        yield {"type": "response.created", "response": begun}
        yield {"type": "response.in_progress", "response": begun}
        pieces = [call.arguments for call in self.given.calls] or [self.given.pieces]
        for index, (item, deltas) in enumerate(zip(self._items(), pieces, strict=True)):
            yield from item_events(index, item, deltas)
        document = self.document()
        yield {"type": f"response.{document['status']}", "response": document}

    def _items(self) -> list[Json]:
        """Return the output: a message, or the function calls."""
        last = len(self.given.calls) - 1
        return [
            {
                "type": "function_call",
                "id": self.request.identify("fc_", place),
                "call_id": self.request.identify("call_", place),
                "name": call.name,
                "arguments": "".join(call.arguments),
                "status": self._status if place == last else "completed",
            }
            for place, call in enumerate(self.given.calls)
        ] or [
            {
                "type": "message",
                "id": self.request.identify("msg_"),
                "role": "assistant",
                "status": self._status,
                "content": [
                    {
                        "type": "output_text",
                        "text": self.given.text,
                        "annotations": [],
                        "logprobs": [],
                    }
                ],
            }
        ]

    @property
    def _status(self) -> str:
        return "incomplete" if self.given.cut else "completed"

    def _usage(self) -> Json:
        return {
            "input_tokens": self.input_tokens,
            "input_tokens_details": {
                "cached_tokens": self.cached_tokens,
                "cache_write_tokens": 0,
            },
            "output_tokens": self.given.tokens,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": self.input_tokens + self.given.tokens,
        }

    def _document(
        self,
        status: str,
        *,
        completed_at: int | None = None,
        incomplete_details: Json | None = None,
        output: list[Json] | None = None,
        usage: Json | None = None,
    ) -> Json:
        body = self.body
        wanted = body.text.format if body.text and body.text.format else {"type": "text"}
        parallel = body.parallel_tool_calls is not False
        return {
            "id": self.request.identify("resp_"),
            "object": "response",
            "created_at": self.request.created,
            "completed_at": completed_at,
            "status": status,
            "background": False,
            "error": None,
            "incomplete_details": incomplete_details,
            "instructions": body.instructions,
            "max_output_tokens": body.max_output_tokens,
            "max_tool_calls": None,
            "model": body.model,
            "output": output or [],
            "parallel_tool_calls": parallel,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "service_tier": "default",
            "store": False,
            "temperature": 1.0 if body.temperature is None else body.temperature,
            "text": {"format": wanted},
            "tool_choice": body.tool_choice or "auto",
            "tools": body.tools or [],
            "top_logprobs": 0,
            "top_p": 1.0 if body.top_p is None else body.top_p,
            "truncation": "disabled",
            "usage": usage,
            "user": body.user,
            "metadata": body.metadata or {},
        }
