"""Takes on their way: which go together, what callers who leave undo, and how calls end."""

import asyncio
import struct
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import msgspec
import pytest

from veneer.limiters._script import AnswerLostError, Asked, Taken, key_of
from veneer.limiters._server import Server
from veneer.limiters._settlements import Settlements
from veneer.limiters._takes import Takes
from veneer.quotas.limiter import Decision, LimiterUnavailableError
from veneer.quotas.quota import Charge, Quota

SLOTS = Quota(policy="slots", unit="concurrent-requests", limit=1000)
SLOT = [Charge(SLOTS, (), 1)]
TIMEOUT = 5.0


def asking(call: str) -> Asked:
    return Asked(partial(key_of, "p"), call, SLOT)


class FakeServer(Server):
    """Admits whatever it is asked for, when a test says so; `calls` are those under way."""

    def __init__(self) -> None:
        self.seen: list[list[str]] = []
        self.calls: list[asyncio.Future[BaseException | None]] = []

    async def ask(
        self, operation: str, keys: list[str], document: bytes, *, deadline: float | None = None
    ) -> Any:
        """Note who asks, and answer when it is told to."""
        assert operation == "take"
        assert deadline is not None
        assert len(keys) == 1
        names: list[str] = [take[0] for take in msgspec.msgpack.decode(document)["takes"]]
        self.seen.append(names)
        answer: asyncio.Future[BaseException | None] = asyncio.get_running_loop().create_future()
        self.calls.append(answer)
        try:
            async with asyncio.timeout_at(deadline):
                error = await answer
        except TimeoutError:
            raise AnswerLostError("late") from None
        if error is not None:
            raise error
        return struct.pack("<5d", 1, 0, 0, 0, 0) * len(names)

    def answer(self, error: BaseException | None = None) -> None:
        """Answer the oldest call."""
        self.calls.pop(0).set_result(error)


class Given(Settlements):
    """Notes what is given back."""

    def __init__(self) -> None:
        self.back: list[str] = []

    def put(self, taken: Taken, used: int) -> None:
        """Note it."""
        assert used == 0
        assert taken.slots
        self.back.append(taken.call)


class Room:
    """Takes with a server and settlements that are a test's own."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self.server = FakeServer()
        self.given = Given()
        self.takes = Takes(self.server, self.given, lease=30, timeout=timeout)
        self.tasks: list[asyncio.Task[Decision]] = []

    async def begin(self, *names: Any) -> None:
        """Begin takes, and go on when all that can be sent has been."""
        for name in names:
            asked = asking(str(name))
            self.tasks.append(asyncio.create_task(self.takes.decide(asked)))
        await self.rest()

    async def rest(self) -> None:
        """Let everything come as far as it can."""
        for _ in range(8):
            await asyncio.sleep(0)

    async def cancel(self, *places: int) -> None:
        """Have callers leave."""
        for place in places:
            self.tasks[place].cancel()
        await self.rest()
        assert all(self.tasks[place].cancelled() for place in places)

    async def answer(self, error: BaseException | None = None) -> None:
        """Answer the oldest call, and see who is content with it."""
        self.server.answer(error)
        await self.rest()


@pytest.fixture
async def room() -> AsyncIterator[Room]:
    """Give a room, whose takes have all ended when the test has."""
    room = Room()
    yield room
    while room.server.calls:
        await room.answer()
    await room.takes.idle()
    assert all(task.done() for task in room.tasks)
    assert not room.takes._waiting
    assert not room.takes._under_way


async def test_a_lone_take_goes_at_once_and_a_second_beside_it(room: Room) -> None:
    await room.begin("a")
    await room.begin("b")
    assert room.server.seen == [["a"], ["b"]]


async def test_what_comes_while_two_calls_are_under_way_goes_together_and_in_order(
    room: Room,
) -> None:
    await room.begin("a")
    await room.begin("b")
    await room.begin(*range(5))
    assert len(room.server.seen) == 2
    await room.answer()
    assert room.server.seen[2:] == [["0", "1", "2", "3", "4"]]
    assert room.tasks[0].result().taken.call == "a"
    await room.answer()
    await room.answer()
    assert [task.result().taken.call for task in room.tasks[2:]] == ["0", "1", "2", "3", "4"]


async def test_a_call_has_sixty_four_takes_at_most(room: Room) -> None:
    await room.begin(*range(200))
    assert [len(names) for names in room.server.seen] == [64, 64]
    await room.answer()
    await room.answer()
    assert [len(names) for names in room.server.seen] == [64, 64, 64, 8]


async def test_a_take_that_is_cancelled_before_it_is_sent_is_not_sent(room: Room) -> None:
    await room.begin("a")
    await room.begin("b")
    await room.begin("c", "d", "e")
    await room.cancel(3)
    await room.answer()
    assert room.server.seen[2:] == [["c", "e"]]
    assert room.given.back == []


@pytest.mark.parametrize("steps", range(8))
async def test_whenever_a_take_is_cancelled_it_is_given_back_or_not_sent(
    room: Room, steps: int
) -> None:
    room.tasks.append(asyncio.create_task(room.takes.decide(asking("a"))))
    for step in range(steps):
        await asyncio.sleep(0)
        if step == 2:
            room.server.answer()
    room.tasks[0].cancel()
    await room.rest()
    while room.server.calls:
        await room.answer()
    if room.tasks[0].cancelled():
        assert room.given.back == [name for names in room.server.seen for name in names]
    else:
        assert room.given.back == []


async def test_a_take_that_is_cancelled_under_way_gives_back_and_the_others_keep_theirs(
    room: Room,
) -> None:
    await room.begin("a", "b", "c")
    assert room.server.seen == [["a", "b", "c"]]
    await room.cancel(1)
    await room.answer()
    assert room.given.back == ["b"]
    assert [room.tasks[place].result().taken.call for place in (0, 2)] == ["a", "c"]


async def test_an_error_reaches_every_take_of_its_call_and_no_other(room: Room) -> None:
    await room.begin("a", "b")
    await room.begin("c")
    await room.answer(LimiterUnavailableError("away"))
    errors = [task.exception() for task in room.tasks[:2]]
    assert [str(error) for error in errors] == ["away", "away"]
    assert errors[0] is not errors[1]
    assert not room.tasks[2].done()
    assert room.given.back == []


async def test_where_the_answer_is_lost_the_slots_of_all_are_given_back(room: Room) -> None:
    await room.begin("a", "b")
    await room.cancel(0)
    await room.answer(AnswerLostError("lost"))
    assert isinstance(room.tasks[1].exception(), AnswerLostError)
    assert room.given.back == ["a", "b"]


async def test_calls_that_nobody_waits_for_any_more_keep_nobody_waiting(room: Room) -> None:
    await room.begin("a")
    await room.begin("b")
    await room.begin("c")
    await room.cancel(0)
    assert room.server.seen == [["a"], ["b"], ["c"]]
    await room.begin("d")
    assert len(room.server.seen) == 3
    await room.answer()
    assert room.given.back == ["a"]
    assert len(room.server.seen) == 3


async def test_no_take_lasts_for_longer_than_its_time() -> None:
    room = Room(timeout=0.05)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await room.begin(*range(200))
    outcomes = await asyncio.gather(*room.tasks, return_exceptions=True)
    # Far more than the time of one, far less than that of the four calls one after another.
    assert loop.time() - began < 1
    lost = [outcome for outcome in outcomes if isinstance(outcome, AnswerLostError)]
    assert len(lost) == 128
    unsent = [str(outcome) for outcome in outcomes[128:]]
    assert set(unsent) == {"Redis is slow: a take has waited for 0.05 s"}
    assert len(room.server.seen) == 2


async def test_an_error_that_nobody_has_foreseen_leaves_nobody_waiting_and_is_told(
    room: Room,
) -> None:
    told: list[BaseException] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, it: told.append(it["exception"]))
    await room.begin("a", "b")
    await room.answer(RuntimeError("unforeseen"))
    assert [type(task.exception()) for task in room.tasks] == [AnswerLostError] * 2
    assert room.given.back == ["a", "b"]
    assert [str(error) for error in told] == ["unforeseen"]
    await room.begin("c")
    await room.answer()
    assert room.tasks[2].result().refused == ()
