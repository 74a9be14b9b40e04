"""The calls of a client: the last one, and those of a span of time.

What is asked after a call goes by context, because frameworks leave no other way: `last` is that
of the task or thread that made the call, and a `Recording` also sees the calls of tasks that its
own one starts. Contexts hold records, and no answers.
"""

import inspect
import weakref
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from veneer.sdk.record import CallMetadata, CallRecord, OnResponse

# How many calls a recording keeps, unless it is told otherwise.
LIMIT = 1000

# Tuples, for a context shares what it was copied from. Of a client that is gone nothing is kept.
_LAST: ContextVar[tuple[tuple[weakref.ref["Calls"], CallRecord | None], ...]] = ContextVar(
    "veneer_last_calls", default=()
)
_OPEN: ContextVar[tuple[tuple["Calls", "Recording"], ...]] = ContextVar(
    "veneer_recordings", default=()
)


class Recording:
    """The calls that were made while it was open, oldest first; of very many, the newest."""

    def __init__(self, limit: int = LIMIT) -> None:
        if limit < 1:
            raise ValueError(f"A recording keeps at least 1 call, not {limit}.")
        self._records: deque[CallRecord] = deque(maxlen=limit)

    def __iter__(self) -> Iterator[CallMetadata]:
        return (record.metadata for record in tuple(self._records))

    def __len__(self) -> int:
        return len(self._records)

    @property
    def last(self) -> CallMetadata | None:
        """The newest call, None where there is none."""
        return self._records[-1].metadata if self._records else None

    def add(self, record: CallRecord) -> None:
        """Keep a call, and let the oldest go where there are too many."""
        self._records.append(record)


class Calls:
    """The calls of a client and of its copies.

    `on_response` is called with what was told of a response when the client has decoded it, of a
    stream when it has ended or broken off. It is a plain function; what it raises, the call raises.
    Raises ValueError for a coroutine function.
    """

    def __init__(self, on_response: OnResponse | None = None) -> None:
        if inspect.iscoroutinefunction(on_response):
            raise ValueError("on_response is a coroutine function: give a plain one.")
        self._on_response = on_response

    def last(self) -> CallMetadata | None:
        """Return what was told of the newest call of this context."""
        for owner, record in _LAST.get():
            if owner() is self and record is not None:
                return record.metadata
        return None

    @contextmanager
    def recording(self, limit: int) -> Iterator[Recording]:
        """Record calls while inside, of this context and of those that begin within it."""
        opened = (self, Recording(limit))
        _OPEN.set((*_OPEN.get(), opened))
        try:
            yield opened[1]
        finally:
            # Not by a token: a generator may be closed in another context than it began in.
            _OPEN.set(tuple(other for other in _OPEN.get() if other is not opened))

    def forget(self) -> None:
        """Begin a call, of which nothing is known yet."""
        self._remember(None)

    def answered(self, response: Any, *, streams: bool) -> None:
        """Begin the record of a call that has a good answer, the whole of it or a stream."""
        self._record(CallRecord(response, self._on_response, streams=streams))

    def refused(self, response: Any) -> None:
        """Record a call that was answered with an error; the callback is not told of it."""
        self._record(CallRecord(response, None, streams=False))

    def _record(self, record: CallRecord) -> None:
        self._remember(record)
        for calls, recording in _OPEN.get():
            if calls is self:
                recording.add(record)

    def _remember(self, record: CallRecord | None) -> None:
        others = [pair for pair in _LAST.get() if pair[0]() not in (None, self)]
        _LAST.set((*others, (weakref.ref(self), record)))
