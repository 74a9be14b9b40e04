"""POST /v1/completions, the legacy endpoint for plain text."""

from collections.abc import Iterator
from itertools import zip_longest
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from .answer import Answer, Ask, answers
from .chat import usage
from .chat_request import Stop, StreamOptions, read_stop
from .error import DemoError
from .exchange import DONE, SYSTEM_FINGERPRINT, Reply, Request, frame
from .prompt import Prompts, read_prompts
from .tokens import check_context

_DEFAULT_LIMIT: Final = 16
_MAX_CHOICES: Final = 128


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The members of the body that the demo model heeds; the others are ignored.

    As at OpenAI, an answer is of 16 tokens unless `max_tokens` says otherwise.
    """

    model: str
    prompt: Prompts
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: Stop = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None


def completion(request: Request) -> Reply:
    """Return the completion object, or the chunks of its stream."""
    body = request.decode(CompletionRequest)
    request.catalogue.require(body.model, "chat")
    if body.stream_options is not None and not body.stream:
        raise DemoError(
            "'stream_options' is only allowed when 'stream' is given.", param="stream_options"
        )
    prompts = read_prompts(body.prompt, "prompt")
    prompt_tokens = sum(prompt.tokens for prompt in prompts)
    check_context(prompt_tokens, "prompt")
    number = body.n or 1
    if number * len(prompts) > _MAX_CHOICES:
        raise DemoError(f"'prompt' and 'n' ask for more than {_MAX_CHOICES} choices.", param="n")
    limit, stop = body.max_tokens or _DEFAULT_LIMIT, read_stop(body.stop)
    given = [
        each
        for prompt in prompts
        for each in answers(Ask(text=prompt.text, limit=limit, stop=stop), number)
    ]
    written = _Completion(
        request=request,
        model=body.model,
        answers=tuple(given),
        prompt_tokens=prompt_tokens,
        cached_tokens=request.cached(prompt_tokens, body.model, body.prompt),
    )
    if not body.stream:
        return written.document()
    include_usage = body.stream_options is not None and bool(body.stream_options.include_usage)
    return written.events(include_usage=include_usage)


class _Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A completion ready to be written, whole or in chunks."""

    request: Request
    model: str
    answers: tuple[Answer, ...]
    prompt_tokens: int
    cached_tokens: int

    def document(self) -> dict[str, object]:
        choices = [
            _choice(index, given.text, _finish_reason(given))
            for index, given in enumerate(self.answers)
        ]
        return {**self._envelope(), "choices": choices, "usage": self._usage()}

    def events(self, *, include_usage: bool) -> Iterator[bytes]:
        envelope = self._envelope()
        nothing = {"usage": None} if include_usage else {}
        turns = zip_longest(*(_chunks(*numbered) for numbered in enumerate(self.answers)))
        for turn in turns:
            for chunk in turn:
                if chunk is not None:
                    yield frame({**envelope, "choices": [chunk], **nothing})
        if include_usage:
            yield frame({**envelope, "choices": [], "usage": self._usage()})
        yield DONE

    def _envelope(self) -> dict[str, object]:
        return {
            "id": self.request.identify("cmpl-"),
            "object": "text_completion",
            "created": self.request.created,
            "model": self.model,
            "system_fingerprint": SYSTEM_FINGERPRINT,
        }

    def _usage(self) -> dict[str, object]:
        completion_tokens = sum(given.tokens for given in self.answers)
        return usage(self.prompt_tokens, completion_tokens, self.cached_tokens)


def _chunks(index: int, given: Answer) -> Iterator[dict[str, object]]:
    for piece in given.pieces:
        yield _choice(index, piece)
    yield _choice(index, "", _finish_reason(given))


def _finish_reason(given: Answer) -> str:
    return "length" if given.cut else "stop"


def _choice(index: int, text: str, finish_reason: str | None = None) -> dict[str, object]:
    return {"text": text, "index": index, "logprobs": None, "finish_reason": finish_reason}
