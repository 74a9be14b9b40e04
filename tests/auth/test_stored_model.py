"""Verified keys against a model: whatever is created, changed, used, polled and down, in any order.

The model knows when each key took each state. An answer is right where it was true at some moment
of the last five seconds during which the store could be asked, and never older than the grace.
"""

import asyncio
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.auth.stores import NOW, Bench, Store
from veneer.auth.verifier import Denial
from veneer.facts import Principal
from veneer.keys.token import new_token

KEYS = 2
GRACE = 20.0
NOON = datetime.fromtimestamp(NOW, UTC)
TOKENS = [new_token() for _ in range(KEYS)]

# What goes wrong shows in uses after waits, and most often in one key with a life of its own.
NUMBERS = st.sampled_from([0, 0, 0, 1])
STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            ["use"] * 4
            + ["wait"] * 4
            + ["revoke"] * 2
            + ["create", "expire", "poll", "flush", "down", "up"]
        ),
        NUMBERS,
    ),
    min_size=10,
    max_size=40,
)


class Model:
    """What each key was, and since when."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.history: list[list[tuple[float, object]]] = [[(0.0, Denial.UNKNOWN)] for _ in TOKENS]

    def now(self, key: int) -> object:
        """Return what a key is."""
        return self.history[key][-1][1]

    def become(self, key: int, state: object) -> None:
        """Note what a key is from now on."""
        self.history[key].append((self.bench.monotonic.now, state))

    def since(self, key: int, moment: float) -> set[object]:
        """Return everything that a key was at or after a moment."""
        history = self.history[key]
        ends = [start for start, _ in history[1:]] + [float("inf")]
        return {state for (_, state), end in zip(history, ends, strict=True) if end >= moment}


async def play(steps: list[tuple[str, int]], max_entries: int) -> None:
    """Take the steps, and compare every use with the model."""
    bench = Bench(store=Store(), grace=GRACE, max_entries=max_entries)
    model = Model(bench)
    for step, number in [("create", 0), ("use", 0), *steps]:
        if step == "create" and model.now(number) is Denial.UNKNOWN:
            await bench.key(f"key_{number}", token=TOKENS[number])
            model.become(number, f"key_{number}")
        elif step == "revoke" and model.now(number) is not Denial.UNKNOWN:
            await bench.change(f"key_{number}", revoked_at=NOON)
            model.become(number, Denial.REVOKED)
        elif step == "expire" and isinstance(model.now(number), str):
            await bench.change(f"key_{number}", expires_at=NOON - timedelta(seconds=1))
            model.become(number, Denial.EXPIRED)
        elif step == "use":
            await use(bench, model, number)
        elif step == "wait":
            bench.monotonic.now += (7.0, 2.0)[number]
        else:
            await befall(bench, step)


async def befall(bench: Bench, step: str) -> None:
    """Let happen what concerns no key."""
    if step == "poll":
        await bench.keys.refresh()
    elif step == "flush":
        await bench.keys.flush()
    else:
        bench.store.down = step == "down"


async def use(bench: Bench, model: Model, number: int) -> None:
    """Show a key, and say whether the answer can be right."""
    answer = await bench.keys.verify(TOKENS[number])
    told = answer.id if isinstance(answer, Principal) else answer
    now = bench.monotonic.now
    if answer is Denial.UNAVAILABLE:
        # Only while it is down, or until the next poll finds it up again.
        assert bench.store.down or bench.keys._silent
        return
    # A store that came back is noticed by the next poll, which the steps may leave out.
    reachable = not (bench.store.down or bench.keys._silent)
    assert told in model.since(number, now - (5.0 if reachable else GRACE))


@settings(max_examples=200, deadline=None)
@given(STEPS, st.sampled_from([1, 20]))
def test_no_answer_is_older_than_it_may_be(steps: list[tuple[str, int]], max_entries: int) -> None:
    asyncio.run(play(steps, max_entries))


OVERLAPPING = st.lists(
    st.tuples(
        st.sampled_from(["create", "revoke", "ask", "ask", "poll", "poll", "answer", "use"]),
        NUMBERS,
    ),
    min_size=10,
    max_size=40,
)


async def overlap(steps: list[tuple[str, int]]) -> None:
    """Let the store's answers take as long as they like; use keys after a poll."""
    bench = Bench(grace=GRACE)
    model = Model(bench)
    asking: list[asyncio.Task[Principal | Denial]] = []
    await bench.keys.refresh()
    for step, number in steps:
        if step == "create" and model.now(number) is Denial.UNKNOWN:
            await bench.key(f"key_{number}", token=TOKENS[number])
            model.become(number, f"key_{number}")
        elif step == "revoke" and model.now(number) is not Denial.UNKNOWN:
            await bench.change(f"key_{number}", revoked_at=NOON)
            model.become(number, Denial.REVOKED)
        elif step == "ask":
            bench.store.go.clear()
            asking.append(asyncio.create_task(bench.keys.verify(TOKENS[number])))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        elif step in {"poll", "use"}:
            await bench.keys.refresh()
        if step in {"answer", "use"}:
            bench.store.go.set()
            await asyncio.gather(*asking)
        if step == "use":
            answer = await bench.keys.verify(TOKENS[number])
            assert model.now(number) == getattr(answer, "id", answer)
    bench.store.go.set()
    await asyncio.gather(*asking)


@settings(max_examples=200, deadline=None)
@given(OVERLAPPING)
def test_after_a_poll_every_answer_is_true_however_lookups_overlap(
    steps: list[tuple[str, int]],
) -> None:
    asyncio.run(overlap(steps))
