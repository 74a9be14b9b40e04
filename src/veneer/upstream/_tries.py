"""The tries of a call: one target after the other, until one answers or none is left."""

import logging
from collections.abc import Callable

import msgspec

from veneer import facts
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import Route, Tried, Unreached
from veneer.routing.plan import Plan, Step
from veneer.upstream._outcome import Failure
from veneer.upstream._refusals import NO_ROOM, final, firm
from veneer.upstream._roster import Roster
from veneer.upstream._try import Try, Work

logger = logging.getLogger("veneer.router")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of what one call may take: tries, and seconds.

    A stream has `try_timeout` until its first event, an answer that comes whole `whole_timeout`;
    all tries together have `deadline` until there is an answer. Raises ValueError for what is not
    above 0.
    """

    tries: int = 3
    try_timeout: float = 60.0
    whole_timeout: float = 300.0
    deadline: float = 600.0

    def __post_init__(self) -> None:
        """Refuse what cannot be."""
        for name in self.__struct_fields__:
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}: give a number above 0.")


class Tries:
    """Makes the tries of one call, within one budget."""

    def __init__(
        self, work: Work, plan: Plan, roster: Roster, limits: Limits, clock: Callable[[], float]
    ) -> None:
        self._work = work
        self._plan = plan
        self._roster = roster
        self._clock = clock
        self._most = limits.tries if work.bodies.may_repeat else 1
        wanted = work.preferences
        self._timeout = limits.try_timeout if work.stream else limits.whole_timeout
        self._patience = _least(self._timeout, wanted.timeout_ms)
        self._ends = clock() + _least(limits.deadline, wanted.deadline_ms)
        self._tried: list[Tried] = []
        self._failed: tuple[Try, Failure] | None = None
        # Where the call went last, of those who have answered with a status, or else of all.
        self._route: Route | None = None

    async def run(self) -> None:
        """Answer the call."""
        steps = self._plan.steps
        for number, step in enumerate(steps, 1):
            left = self._ends - self._clock()
            if len(self._tried) == self._most or left <= 0:
                break
            standing = self._roster.standing(step.offer.target)
            taken = standing.begin(step.offer.name)
            if taken is None:
                continue
            try:
                last = number == len(steps) or len(self._tried) + 1 == self._most
                if await self._try(step, taken, left, last=last):
                    return
            finally:
                standing.end(taken)
        await self._tell()

    async def _try(self, step: Step, taken: int, left: float, *, last: bool) -> bool:
        """Make one try; return whether there is nothing more to be done."""
        work = self._work
        seconds = min(self._patience, left)
        trying = Try(
            work,
            self._plan,
            step,
            self._roster,
            self._clock,
            taken=taken,
            before=self._tried,
            last=last,
            blamed=seconds >= self._timeout,
        )
        try:
            scope = work.bodies.scope(step)
        except ValueError as error:
            facts.put(work.scope, Unreached())
            refusal = Error(Kind.INVALID_JSON, f"The request body cannot be passed on: {error}.")
            await refusal(work.scope, work.receive, work.send)
            return True
        failure = await trying.run(scope, seconds)
        if failure is None:
            return True
        if failure.status is not None or self._route is None or not self._route.status:
            self._route = trying.route(failure.status or 0)
        self._tried.append(trying.tried(failure))
        self._failed = trying, failure
        status = "no status" if failure.status is None else f"status {failure.status}"
        logger.warning("%s has not answered: %s, %s", step.offer.target, failure.why, status)
        return False

    async def _tell(self) -> None:
        """Say that nobody has answered, as the last one said it, if that is for the client."""
        work, several = self._work, len(self._tried) > 1
        if self._route is not None:
            route = msgspec.structs.replace(self._route, tried=tuple(self._tried), answered=False)
            facts.put(work.scope, route)
        if not any(tried.reached for tried in self._tried):
            facts.put(work.scope, Unreached())
        if self._failed is None:
            await NO_ROOM(work.scope, work.receive, work.send)
            return
        trying, failure = self._failed
        error = final(failure, self._tried, self._wait(), own_key=trying.own_key)
        if error is None:
            headers = firm(failure.headers) if several else failure.headers
            await trying.attempt.release(headers)
            return
        if several:
            error = msgspec.structs.replace(error, retry=False)
        await error(work.scope, work.receive, work.send)

    def _wait(self) -> float:
        """Return the seconds after which one of those that were asked may be asked again."""
        steps = self._plan.steps
        standing = self._roster.standing
        return min(standing(s.offer.target).resting(s.offer.name) for s in steps)


def _least(seconds: float, milliseconds: int | None) -> float:
    return seconds if milliseconds is None else min(seconds, milliseconds / 1000)
