"""One try of a call: a target is asked, and what becomes of it is noted."""

from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec
from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.client import Client
from veneer.edits import edits_of
from veneer.errors import BrokenResponseError
from veneer.facts import OwnKeys, Route, Tried, Unreached, Usage
from veneer.routing.plan import Plan, Step
from veneer.routing.preferences import Preferences
from veneer.routing.prefix import Prefix
from veneer.upstream._attempt import Attempt, GivenUpError
from veneer.upstream._bodies import Bodies
from veneer.upstream._outcome import LIMITED, REFUSALS, Failure, Why
from veneer.upstream._patience import Patience
from veneer.upstream._roster import Roster, member_of
from veneer.upstream.impatient import Impatient
from veneer.upstream.own_key import UpstreamKey

FIRST_ERROR = HTTPStatus.BAD_REQUEST


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """A call as it came; `is_text` is whether its answer is a stream just where it asks for one."""

    scope: Scope
    receive: Receive
    send: Send
    client: Client
    bodies: Bodies
    prefix: Prefix
    preferences: Preferences
    own_keys: OwnKeys | None = None
    stream: bool = False
    is_text: bool = False


class Try:
    """One try by one step of the plan, which has taken a place (`taken`) at its target.

    `before` are the tries that were made; `last` is whether none can be made after it. `blamed` is
    whether it is the target's fault if it takes longer than it may.
    """

    def __init__(  # noqa: PLR0913 - each is a part of what a try is
        self,
        work: Work,
        plan: Plan,
        step: Step,
        roster: Roster,
        clock: Callable[[], float],
        *,
        taken: int,
        before: Sequence[Tried],
        last: bool,
        blamed: bool,
    ) -> None:
        self._work = work
        self._plan = plan
        self._step = step
        self._roster = roster
        self._clock = clock
        self._taken = taken
        self._before = before
        self._blamed = blamed
        self._standing = roster.standing(step.offer.target)
        self._known: dict[type, Any] = work.scope[facts.SCOPE_KEY]
        # What the target's app has said of where the call went.
        self._said: Route | None = None
        self._patience: Patience
        self._began = 0.0
        self._first = 0.0
        streams = work.stream if work.is_text else None
        self.attempt = Attempt(
            work.send, self._begin, last=last, answered=self._answered, streams=streams
        )

    async def run(self, scope: Scope, seconds: float) -> Failure | None:
        """Ask; return how that failed, None if there is an answer, or nobody who waits for one.

        `scope` is that of the body for this try, which may take so many seconds until there is an
        answer. Raises what breaks an answer that has begun. Of a try that fails no facts remain.
        """
        known, before = self._known, dict(self._known)
        for kind in (Route, Unreached):
            known.pop(kind, None)
        failure = None
        try:
            failure = await self._ask(scope, seconds)
        finally:
            known.pop(UpstreamKey, None)
            if not self.attempt.began:
                unsent = Unreached in known
                known.clear()
                known.update(before)
                if failure is None:
                    self._left(unsent=unsent)
        return failure

    async def _ask(self, scope: Scope, seconds: float) -> Failure | None:
        work, step, attempt = self._work, self._step, self.attempt
        if step.own_key and work.own_keys is not None:
            self._known[UpstreamKey] = UpstreamKey(work.own_keys.keys[step.offer.target])
        if not self._blamed:
            self._known[Impatient] = Impatient()
        self._began = self._clock()
        why: Why = "broken"
        try:
            with Patience(self._roster.deadlines, seconds) as self._patience:
                await self._roster.app(step.offer.target)(scope, work.receive, attempt.send)
        except GivenUpError:
            pass
        except (BrokenResponseError, OSError):
            if attempt.began:
                self._observe(failed=True)
                raise
            # A TimeoutError is an OSError, too; an app may raise one of its own.
            why = "timeout" if self._patience.expired else "broken"
        if attempt.began:
            self._ended()
            return None
        if work.client.disconnected:
            return None
        failure = self._failure(why)
        self._note(failure)
        return failure

    @property
    def own_key(self) -> bool:
        """Whether it is made with a key of the caller's own."""
        return self._step.own_key

    def tried(self, failure: Failure) -> Tried:
        """Return what is remembered of it where it has failed."""
        return Tried(
            target=self._step.offer.target,
            model=self._step.offer.name or None,
            why=failure.why,
            status=failure.status,
            reached=failure.reached,
            usage=failure.usage,
            seconds=self._clock() - self._began,
        )

    def route(self, status: int) -> Route:
        """Return where the call went with this try, whose answer has this status, 0 for none."""
        own, step = self._said, self._step
        return Route(
            target=step.offer.target,
            status=status if own is None else own.status,
            request_id=None if own is None else own.request_id,
            seconds=self._clock() - self._began if own is None else own.seconds,
            model=step.offer.name or None,
            canonical=step.offer.model or None,
            strategy=self._plan.strategy,
            own_key=step.own_key,
            tried=tuple(self._before),
        )

    def _left(self, *, unsent: bool) -> None:
        """Say of the last of the tries where nobody waits for an answer who may have used what."""
        if not unsent and self._work.client.disconnected:
            self._known[Route] = self.route(0)
        elif unsent and not any(each.reached for each in self._before):
            self._known[Unreached] = Unreached()

    def _answered(self) -> Route | None:
        self._said = self._known.get(Route)
        return self._said

    def _begin(self) -> None:
        """Let the answer begin: nobody else is asked from here on."""
        if self._patience.expired:
            raise GivenUpError
        self._patience.lift()
        self._first = self._clock() - self._began
        work, attempt, known = self._work, self.attempt, self._known
        work.bodies.drop()
        unreached = Unreached in known
        if not unreached or any(each.reached for each in self._before):
            known.pop(Unreached, None)
            known[Route] = self.route(attempt.status or 0)
        if self._plan.warnings or self._step.dropped:
            edits_of(work.scope).warnings += (*self._plan.warnings, *self._step.warnings)
        if attempt.why is not None:
            self._note(self._failure(attempt.why))
            return
        if unreached:
            return
        self._standing.succeeded(self._taken)
        if attempt.is_stream and self._step.offer.name:
            self._roster.observations.saw_first(self._step.offer, self._first)
            self._remember()

    def _ended(self) -> None:
        """Learn from an answer that is whole."""
        attempt, offer = self.attempt, self._step.offer
        if not attempt.ended or attempt.why is not None or (attempt.status or 0) >= FIRST_ERROR:
            return
        self._observe(failed=False)
        usage = self._known.get(Usage) or attempt.usage()
        if usage is not None and offer.name:
            since = self._clock() - self._began - self._first if attempt.is_stream else 0.0
            self._roster.observations.saw_end(offer, usage.output_tokens, since)
        self._remember(None if usage is None else usage.cached_input_tokens)

    def _remember(self, cached: int | None = None) -> None:
        """Note who has the beginning of this call, of which so many tokens were cached."""
        if (affinity := self._roster.affinity) is not None:
            affinity.note(self._work.prefix, member_of(self._step.offer), cached)

    def _failure(self, why: Why) -> Failure:
        unreached = Unreached in self._known
        failure = self.attempt.failure("unreachable" if unreached else why, reached=not unreached)
        if self._said is not None:
            return msgspec.structs.replace(failure, status=self._said.status)
        if unreached:
            return msgspec.structs.replace(failure, why="unreachable", status=None)
        if failure.status == HTTPStatus.GATEWAY_TIMEOUT:
            return msgspec.structs.replace(failure, why="timeout")
        return failure

    def _note(self, failure: Failure) -> None:
        """Have a target that has failed asked less, as far as it is its own fault."""
        status, own = failure.status, self._step.own_key
        if own and (status == LIMITED or status in REFUSALS):
            return
        late = self._patience.expired and not self._blamed
        # It is the upstream's app that says so where the client has not sent all of its body.
        waiting = status == HTTPStatus.REQUEST_TIMEOUT and self._said is None
        if late or waiting:
            return
        after = failure.retry_after()
        if status == LIMITED or after is not None:
            self._standing.rest(self._step.offer.name, after, limited=status == LIMITED)
        elif status != HTTPStatus.NOT_FOUND:
            self._standing.failed(self._taken, failure.why)
        self._observe(failed=True)

    def _observe(self, *, failed: bool) -> None:
        seen, offer = self._roster.observations, self._step.offer
        if offer.name:
            (seen.failed if failed else seen.succeeded)(offer)
