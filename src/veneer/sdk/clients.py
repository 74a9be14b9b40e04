"""OpenAI's clients, which keep what the service tells of each call.

They stand where OpenAI's own code has an answer decoded and makes a model of it, once for a body
and once for each event: nothing is parsed twice, and compression, line ends and comments are
behind. These methods are internal to `openai` but the same from its version 2.0 to 3; the tests of
this package notice a change.
"""

from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Self

import openai

from veneer.sdk.calls import LIMIT, Calls, Recording
from veneer.sdk.record import CallMetadata, OnResponse, record_of
from veneer.sdk.streams import AsyncStream, Stream, with_metadata

if TYPE_CHECKING:
    from openai._models import FinalRequestOptions


class _Told:
    """What both clients have: questions about calls, and the places where answers are decoded."""

    _calls: Calls

    def last_call(self) -> CallMetadata | None:
        """Return what was told of the call that this task or thread began last with this client.

        Copies (`with_options`) count as the same client. Of a stream that is being read, it grows.
        None before any call, after one that nobody answered, and for calls that a framework made
        in a task or thread of its own: for these, use `recording`.
        """
        return self._calls.last()

    def recording(self, limit: int = LIMIT) -> AbstractContextManager[Recording]:
        """Return a context that records the calls of this client which are made inside it.

        Calls of tasks and threads that start inside with a copy of the context (as `asyncio` tasks
        and `asyncio.to_thread` do) are recorded, too; those of other tasks are not. Of more than
        `limit` calls the newest are kept.
        """
        return self._calls.recording(limit)

    def _process_response_data(self, *, data: Any, cast_to: Any, response: Any) -> Any:
        record = record_of(response)
        if record is not None:
            record.hear(data)
        parent: Any = super()
        made = parent._process_response_data  # noqa: SLF001 - the place that the module tells of
        return made(data=data, cast_to=cast_to, response=response)

    def _make_status_error(self, err_msg: str, *, body: object, response: Any) -> Any:
        self._calls.refused(response)
        parent: Any = super()
        made = parent._make_status_error  # noqa: SLF001 - the place that the module tells of
        return made(err_msg, body=body, response=response)

    if not TYPE_CHECKING:
        # Type checkers see the parent's signature, which names every option.

        def copy(self, *, _extra_kwargs: Mapping[str, Any] = {}, **options: Any) -> Self:
            """Return a client with other options, whose calls count as this one's."""
            more = {"_calls": self._calls, **_extra_kwargs}
            return super().copy(_extra_kwargs=more, **options)

        with_options = copy


class OpenAI(_Told, openai.OpenAI):
    """OpenAI's client, which keeps what was told of each call: its route, receipt and request id.

    It takes all of the options of `openai.OpenAI`, and `on_response`: a plain function that is
    called with the `CallMetadata` of each answer when it was decoded, of each stream when it has
    ended or broken off. What it raises, the call raises.

    `last_call()` and `recording()` tell the same afterwards, and a stream has it as `metadata`.
    Of raw answers (`with_raw_response`, `with_streaming_response`) the route is known once they
    are parsed.
    """

    def __init__(
        self,
        *,
        on_response: OnResponse | None = None,
        _calls: Calls | None = None,
        **options: Any,
    ) -> None:
        self._calls = Calls(on_response) if _calls is None else _calls
        super().__init__(**options)

    def _prepare_options(self, options: "FinalRequestOptions") -> "FinalRequestOptions":
        self._calls.forget()
        return super()._prepare_options(options)

    def _process_response(
        self, *, response: Any, stream: bool, stream_cls: Any, **more: Any
    ) -> Any:
        self._calls.answered(response, streams=stream)
        ours = with_metadata(stream_cls, openai.Stream, Stream)
        return super()._process_response(response=response, stream=stream, stream_cls=ours, **more)


class AsyncOpenAI(_Told, openai.AsyncOpenAI):
    """OpenAI's asynchronous client, which keeps what was told of each call, as `OpenAI` does."""

    def __init__(
        self,
        *,
        on_response: OnResponse | None = None,
        _calls: Calls | None = None,
        **options: Any,
    ) -> None:
        self._calls = Calls(on_response) if _calls is None else _calls
        super().__init__(**options)

    async def _prepare_options(self, options: "FinalRequestOptions") -> "FinalRequestOptions":
        self._calls.forget()
        return await super()._prepare_options(options)

    async def _process_response(
        self, *, response: Any, stream: bool, stream_cls: Any, **more: Any
    ) -> Any:
        self._calls.answered(response, streams=stream)
        ours = with_metadata(stream_cls, openai.AsyncStream, AsyncStream)
        return await super()._process_response(
            response=response, stream=stream, stream_cls=ours, **more
        )
