"""Coroutines that have taken their first step, for those who look whether that was the last."""

from collections.abc import Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Begun(Generator[Any, Any, T]):
    """The rest of a coroutine that has taken its first step, and what it waits for since."""

    def __init__(self, coroutine: Coroutine[Any, Any, T], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for
        self._told = False

    def __await__(self) -> Generator[Any, Any, T]:
        """Be what is awaited."""
        return self

    def send(self, value: Any) -> Any:
        """Say what is waited for; take the next steps after that."""
        if self._told:
            return self._coroutine.send(value)
        self._told = True
        return self._waits_for

    def throw(self, *error: Any) -> Any:
        """Raise an error (a cancellation) where the coroutine waits."""
        self._told = True
        return self._coroutine.throw(*error)
