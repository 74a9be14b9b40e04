"""The store in memory against a model, over any history."""

from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from tests.clock import Clock
from veneer.idempotency.memory import ENTRY, MemoryRecordingStore
from veneer.idempotency.store import Claim, Done, InFlight, Recording

T = TypeVar("T")


KEYS = [b"a", b"b", b"c", b"d"]
SIZES = [0, 100, 3000]


class Model(RuleBasedStateMachine):
    """What is there by the simplest of means: an entry is what was said last, until its end."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.store = MemoryRecordingStore(clock=self.clock)
        # By key: the fingerprint, the token, the end, and whether it is done, with what.
        self.entries: dict[bytes, tuple[bytes, int, float, Done | None]] = {}
        self.tokens = [0]

    def entry(self, key: bytes) -> tuple[bytes, int, float, Done | None] | None:
        """Return what a key has, unless its time is over."""
        entry = self.entries.get(key)
        return entry if entry is not None and entry[2] > self.clock.now else None

    def seen(self, key: bytes) -> InFlight | Done | None:
        """Return what the store should tell."""
        entry = self.entry(key)
        if entry is None:
            return None
        return entry[3] or InFlight(entry[0], entry[2] - self.clock.now)

    @staticmethod
    def do(call: Coroutine[Any, Any, T]) -> T:
        """Run a call that never waits."""
        with pytest.raises(StopIteration) as returned:
            call.send(None)
        value: T = returned.value.value
        return value

    @rule(key=st.sampled_from(KEYS), fingerprint=st.binary(max_size=2), lease=st.integers(1, 5))
    def claim(self, key: bytes, fingerprint: bytes, lease: int) -> None:
        """Claim a key."""
        outcome = self.do(self.store.claim(key, fingerprint, lease))
        if (seen := self.seen(key)) is not None:
            assert outcome == seen
            return
        assert isinstance(outcome, Claim)
        assert outcome.token > max(self.tokens)
        self.tokens.append(outcome.token)
        self.entries[key] = (fingerprint, outcome.token, self.clock.now + lease, None)

    @rule(key=st.sampled_from(KEYS), back=st.integers(0, 4), lease=st.integers(1, 5))
    def renew(self, key: bytes, back: int, lease: int) -> None:
        """Renew by the last token, or by one before."""
        token = self.tokens[-1 - back % len(self.tokens)]
        entry = self.entry(key)
        held = entry is not None and entry[1] == token and entry[3] is None
        assert self.do(self.store.renew(key, token, lease)) is held
        if held and entry is not None:
            self.entries[key] = (entry[0], token, self.clock.now + lease, None)

    @rule(
        key=st.sampled_from(KEYS),
        back=st.integers(0, 4),
        size=st.sampled_from([None, *SIZES]),
        ttl=st.integers(1, 9),
    )
    def commit(self, key: bytes, back: int, size: int | None, ttl: int) -> None:
        """Commit by the last token, or by one before."""
        token = self.tokens[-1 - back % len(self.tokens)]
        entry = self.entry(key)
        held = entry is not None and entry[1] == token
        recording = None if size is None else Recording(200, (), bytes(size))
        assert self.do(self.store.commit(key, token, recording, ttl)) is held
        if held and entry is not None and entry[3] is None:
            done = Done(entry[0], recording)
            self.entries[key] = (entry[0], token, self.clock.now + ttl, done)

    @rule(key=st.sampled_from(KEYS), back=st.integers(0, 4))
    def release(self, key: bytes, back: int) -> None:
        """Release by the last token, or by one before."""
        token = self.tokens[-1 - back % len(self.tokens)]
        self.do(self.store.release(key, token))
        entry = self.entry(key)
        if entry is not None and entry[1] == token and entry[3] is None:
            del self.entries[key]

    @rule(seconds=st.integers(1, 6))
    def wait(self, seconds: int) -> None:
        """Let time pass."""
        self.clock.now += seconds

    @invariant()
    def they_agree(self) -> None:
        """Compare all that can be seen."""
        for key in KEYS:
            assert self.do(self.store.look(key)) == self.seen(key)
        assert len(self.store) == sum(self.entry(key) is not None for key in KEYS)
        kept = [entry[3] for key in KEYS if (entry := self.entry(key)) is not None]
        bodies = [len(done.recording.body) for done in kept if done and done.recording]
        assert self.store.size == len(kept) * ENTRY + sum(bodies)


def test_it_agrees_with_a_model_over_any_history() -> None:
    few = settings(max_examples=80, stateful_step_count=30, deadline=None)
    run_state_machine_as_test(Model, settings=few)
