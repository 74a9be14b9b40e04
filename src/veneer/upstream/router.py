"""Router: several targets behind one address, as an ASGI app."""

import random as numbers
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack

from starlette.types import Receive, Scope, Send

from veneer import facts
from veneer.call import Call, read_call
from veneer.client import Client, ClientDisconnectedError, client_of
from veneer.errors import Error
from veneer.facts import OwnKeys, Route, Unreached
from veneer.layer import Written
from veneer.lifetime import lifespan
from veneer.lookout import Lookout
from veneer.operations import Allowed, Body, Endpoint
from veneer.routing.plan import Plan
from veneer.routing.preferences import NO_PREFERENCES, Preferences
from veneer.routing.target import Target
from veneer.upstream._bodies import Bodies
from veneer.upstream._checks import Checks, any_reachable
from veneer.upstream._listing import Listing
from veneer.upstream._planning import Asked, planned, unplanned
from veneer.upstream._roster import NO_PREFIX, Roster
from veneer.upstream._tries import Limits, Tries
from veneer.upstream._try import Work
from veneer.upstream.guard import admit
from veneer.wiring import chain

UNREACHED = Unreached()

JSON = Body.JSON

# Operations whose answer is a stream exactly if the call says so.
TEXTS = frozenset(["chat.completions", "completions", "responses"])


class Router:
    """Has the best of several targets answer each call, and the next best where that fails.

    `preferences` are the operator's, for calls that say nothing of routing. A call is tried `tries`
    times at most, each of another target or with another key, and only until there is an answer:
    the first event of a stream, for which each has `try_timeout` seconds, or the first bytes of
    an answer that comes whole, which may take `whole_timeout`; all together have `deadline`.
    `affinity` sends calls of the same long beginning where it is likely cached. Every
    `health_interval` seconds, targets that can tell are asked whether they are reachable; None for
    never. `allow` names operations beyond the default ones, as for `Upstream`; they go to the
    first target. `random` draws numbers from 0 to 1, `clock` gives seconds.

    Raises ValueError for no targets, or two of one name, and for bounds that cannot be.
    """

    writes = (Route, Unreached)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        targets: Sequence[Target],
        *,
        preferences: Preferences = NO_PREFERENCES,
        tries: int = 3,
        try_timeout: float = 60.0,
        whole_timeout: float = 300.0,
        deadline: float = 600.0,
        affinity: bool = True,
        health_interval: float | None = None,
        allow: Iterable[str] = (),
        random: Callable[[], float] = numbers.random,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if health_interval is not None and not health_interval > 0:
            raise ValueError(f"health_interval is {health_interval}: give seconds above 0.")
        self._limits = Limits(
            tries=tries,
            try_timeout=try_timeout,
            whole_timeout=whole_timeout,
            deadline=deadline,
        )
        self._roster = Roster(targets, affinity=affinity, clock=clock)
        self._listing = Listing(targets, clock)
        self._preferences = preferences
        self._health_interval = health_interval
        self._allowed = Allowed(allow)
        self._lookout = Lookout()
        self._random = random
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one ASGI connection."""
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1008})
        elif (client := facts.get(scope, Client)) is not None:
            await self._answer(client, scope, receive, send)
        else:
            scope = dict(scope)
            client = client_of(scope, receive, self._lookout)
            # Targets may be wrapped in layers, of which none is the outermost.
            facts.put(scope, Written(frozenset()))
            try:
                await self._answer(client, scope, client.receive, send)
            finally:
                client.close()

    async def reachable(self) -> bool:
        """Whether any target is reachable, or cannot tell."""
        return await any_reachable(self._roster.targets)

    async def aclose(self) -> None:
        """Close what the targets hold open."""
        for target in self._roster.targets:
            for part in chain(target.app):
                if hasattr(part, "aclose"):
                    await part.aclose()

    async def _answer(self, client: Client, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            with client.while_connected():
                endpoint = facts.get(scope, Endpoint) or await admit(self._allowed, scope, receive)
                if isinstance(endpoint, Endpoint) and endpoint.operation.name == "models":
                    await self._listing.answer(endpoint, scope, receive, send)
                    return
                tries = await self._tries(endpoint, client, scope, receive, send)
                if isinstance(tries, Error):
                    facts.put(scope, UNREACHED)
                    await tries(scope, receive, send)
                    return
                await tries.run()
        except ClientDisconnectedError:
            return

    async def _tries(
        self, endpoint: Endpoint | Error, client: Client, scope: Scope, receive: Receive, send: Send
    ) -> Tries | Error:
        """Return the tries of a request, or the error that it gets before any is made."""
        if isinstance(endpoint, Error):
            return endpoint
        known = facts.all_in(scope)
        call: Call | None = known.get(Call)
        if call is None and endpoint.operation.body is JSON:
            read = await read_call(scope, receive)
            if isinstance(read, Error):
                return read
            call = read
        preferences: Preferences = known.get(Preferences) or self._preferences
        own_keys: OwnKeys | None = known.get(OwnKeys)
        prefix = NO_PREFIX
        plan: Plan | Error
        if call is None or not (call.model or preferences.models):
            plan = unplanned(endpoint.operation, self._roster, preferences, own_keys)
        else:
            prefix = self._roster.prefix(client.kept)
            asked = Asked(call, client.kept, preferences, own_keys, self._limits.tries)
            plan = planned(asked, self._roster, prefix, self._random())
        if isinstance(plan, Error):
            return plan
        work = Work(
            scope=scope,
            receive=receive,
            send=send,
            client=client,
            bodies=Bodies(scope, client, call),
            prefix=prefix,
            preferences=preferences,
            own_keys=own_keys,
            stream=call is not None and call.stream,
            is_text=call is not None and call.operation.name in TEXTS,
        )
        return Tries(work, plan, self._roster, self._limits, self._clock)

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        await receive()
        async with AsyncExitStack() as stack:
            try:
                for target in self._roster.targets:
                    await stack.enter_async_context(lifespan(target.app))
                if self._health_interval is not None:
                    checks = Checks(self._roster, self._health_interval)
                    await stack.enter_async_context(checks.running())
            except RuntimeError as error:
                await send({"type": "lifespan.startup.failed", "message": str(error)})
                return
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})
