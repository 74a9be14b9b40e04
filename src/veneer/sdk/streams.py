"""Streams of OpenAI's client that know what was told of their call, and say when they end."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from typing import Any, TypeVar, cast, get_args, get_origin

import openai

from veneer.sdk.record import CallMetadata, record_of

T = TypeVar("T")


class Stream(openai.Stream[T]):
    """A stream with `metadata`: what was told of its call so far."""

    @property
    def metadata(self) -> CallMetadata | None:
        """What was told so far; the receipt and the route come with the last event."""
        return _metadata(self.response)

    def close(self) -> None:
        """Close the response, and say that no more will be told."""
        super().close()
        _end(self.response)

    def __stream__(self) -> Iterator[T]:
        try:
            yield from super().__stream__()
        finally:
            _end(self.response)


class AsyncStream(openai.AsyncStream[T]):
    """An asynchronous stream with `metadata`: what was told of its call so far."""

    @property
    def metadata(self) -> CallMetadata | None:
        """What was told so far; the receipt and the route come with the last event."""
        return _metadata(self.response)

    async def close(self) -> None:
        """Close the response, and say that no more will be told."""
        await super().close()
        _end(self.response)

    async def __stream__(self) -> AsyncIterator[T]:
        items = cast("AsyncGenerator[T]", super().__stream__())
        try:
            async with aclosing(items):
                async for item in items:
                    yield item
        finally:
            _end(self.response)


def with_metadata(asked: Any, theirs: type, ours: Any) -> Any:
    """Return our class of streams, of the same events, for `asked` where that is OpenAI's own.

    None, and a class that the user made, stay as they are.
    """
    return ours[get_args(asked)[0]] if get_origin(asked) is theirs else asked


def _metadata(response: Any) -> CallMetadata | None:
    record = record_of(response)
    return None if record is None else record.metadata


def _end(response: Any) -> None:
    record = record_of(response)
    if record is not None:
        record.end()
