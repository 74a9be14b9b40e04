"""POST /v1/chat/completions."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import msgspec

from .answer import Answer, ToolCall, answers
from .chat_request import ChatRequest, read_ask
from .exchange import DONE, SYSTEM_FINGERPRINT, Reply, Request, frame


def chat_completion(request: Request) -> Reply:
    """Return the completion object, or the chunks of its stream."""
    body = request.decode(ChatRequest)
    request.catalogue.require(body.model, "chat")
    ask, prompt_tokens = read_ask(body)
    completion = _Completion(
        request=request,
        model=body.model,
        answers=answers(ask, body.n or 1),
        forced=ask.choice == "named",
        legacy=body.functions is not None,
        prompt_tokens=prompt_tokens,
        cached_tokens=request.cached(
            prompt_tokens, body.model, body.tools, body.functions, body.messages
        ),
    )
    if not body.stream:
        return completion.document()
    include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return completion.events(include_usage=include_usage)


def usage(prompt_tokens: int, completion_tokens: int, cached_tokens: int) -> dict[str, object]:
    """Return the usage object of chat completions and of completions."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
        "prompt_tokens_details": {"cached_tokens": cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


class _Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A completion ready to be written, whole or in chunks."""

    request: Request
    model: str
    answers: tuple[Answer, ...]
    forced: bool
    legacy: bool
    prompt_tokens: int
    cached_tokens: int

    def document(self) -> dict[str, object]:
        choices = [
            {
                "index": index,
                "message": self._message(index, given),
                "logprobs": None,
                "finish_reason": self._finish_reason(given),
            }
            for index, given in enumerate(self.answers)
        ]
        return {**self._envelope("chat.completion"), "choices": choices, "usage": self._usage()}

    def events(self, *, include_usage: bool) -> Iterator[bytes]:
        """Yield the chunks, those of several choices in turn, and the end of the stream."""
        envelope = self._envelope("chat.completion.chunk")
        nothing = {"usage": None} if include_usage else {}
        turns = zip_longest(*(self._chunks(*numbered) for numbered in enumerate(self.answers)))
        for turn in turns:
            for choice in turn:
                if choice is not None:
                    yield frame({**envelope, "choices": [choice], **nothing})
        if include_usage:
            yield frame({**envelope, "choices": [], "usage": self._usage()})
        yield DONE

    def _envelope(self, kind: str) -> dict[str, object]:
        return {
            "id": self.request.identify("chatcmpl-"),
            "object": kind,
            "created": self.request.created,
            "model": self.model,
            "service_tier": "default",
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }

    def _usage(self) -> dict[str, object]:
        completion_tokens = sum(given.tokens for given in self.answers)
        return usage(self.prompt_tokens, completion_tokens, self.cached_tokens)

    def _finish_reason(self, given: Answer) -> str:
        if given.cut:
            return "length"
        # OpenAI says "stop" after a call that the request forced by name.
        if not given.calls or self.forced:
            return "stop"
        return "function_call" if self.legacy else "tool_calls"

    def _message(self, index: int, given: Answer) -> dict[str, object]:
        message: dict[str, object] = {
            "role": "assistant",
            "content": None if given.calls else given.text,
            "refusal": None,
            "annotations": [],
        }
        if given.calls and self.legacy:
            message["function_call"] = _function(given.calls[0])
        elif given.calls:
            message["tool_calls"] = [
                {"id": self._call_id(index, place), "type": "function", "function": _function(call)}
                for place, call in enumerate(given.calls)
            ]
        return message

    def _call_id(self, index: int, place: int) -> str:
        return self.request.identify("call_", index, place)

    def _chunks(self, index: int, given: Answer) -> Iterator[dict[str, object]]:
        for delta in self._deltas(index, given):
            yield {"index": index, "delta": delta, "logprobs": None, "finish_reason": None}
        reason = self._finish_reason(given)
        yield {"index": index, "delta": {}, "logprobs": None, "finish_reason": reason}

    def _deltas(self, index: int, given: Answer) -> Iterator[dict[str, Any]]:
        if not given.calls:
            yield {"role": "assistant", "content": "", "refusal": None}
            for piece in given.pieces:
                yield {"content": piece}
        elif self.legacy:
            call = given.calls[0]
            begun = {"name": call.name, "arguments": ""}
            yield {"role": "assistant", "content": None, "function_call": begun, "refusal": None}
            for piece in call.arguments:
                yield {"function_call": {"arguments": piece}}
        else:
            yield {"role": "assistant", "content": None, "refusal": None}
            for place, call in enumerate(given.calls):
                yield from self._call_deltas(index, place, call)

    def _call_deltas(self, index: int, place: int, call: ToolCall) -> Iterator[dict[str, Any]]:
        begun = {
            "index": place,
            "id": self._call_id(index, place),
            "type": "function",
            "function": {"name": call.name, "arguments": ""},
        }
        yield {"tool_calls": [begun]}
        for piece in call.arguments:
            yield {"tool_calls": [{"index": place, "function": {"arguments": piece}}]}


def _function(call: ToolCall) -> dict[str, object]:
    return {"name": call.name, "arguments": "".join(call.arguments)}
