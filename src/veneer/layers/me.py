"""Me: tells callers who they are to this API, what they may do, and of their team.

Answers GET on its paths, and 405 for other methods there; 503 for a team while the ledger is away;
everything else passes. Reads `Principal`,
and what the partitions of its budgets need; writes nothing. Stands below what says who calls and
what limits requests, and above OperationsMiddleware, which knows no such path.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.answers import NO_STORE, ONLY_READ, send_document
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.told import Told
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.dialects.rate_limits import tightest
from veneer.errors import Error
from veneer.facts import Principal, Quotas
from veneer.layer import Layer
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.operations import path_below_base
from veneer.prices.credits import Credits
from veneer.quotas.quota import REQUESTS

PATH = "/me"
TEAM = "/team"
# Without the slash, which a path below a base may lack.
ENDINGS = (PATH[1:], TEAM[1:])
UNAVAILABLE = Error(
    Kind.LEDGER_UNAVAILABLE,
    "The team cannot be looked up right now. Try again later.",
    headers=((b"retry-after", b"1"),),
)


class MeMiddleware(Layer):
    """Answers a caller with what is known of its key, at `/me` below the base of the API.

    The dialect says what the answer looks like; nothing in it is secret. With a `ledger`, and the
    `budgets`, `credits`, `trusted_proxies` and `clock` of the `CostMiddleware` below, its fields
    tell how those stand, too, where the dialect has such; while the ledger is away, they do not.

    Where the dialect has one, `/team` answers with what is known of its team, unless `team` is
    false.
    """

    own_operations = frozenset([PATH, TEAM])

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        ledger: Ledger | None = None,
        budgets: Sequence[BudgetPolicy] = (),
        credits: Credits | None = None,  # noqa: A002 - the option's name
        trusted_proxies: Iterable[str] = (),
        team: bool = True,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._told = None
        if ledger is not None:
            self._told = Told(ledger, budgets, trusted_proxies=trusted_proxies, clock=clock)
        needed = () if self._told is None else self._told.reads
        self.reads = tuple(dict.fromkeys([Principal, *needed]))
        super().__init__(app)
        self._ledger = ledger
        self._credits = Credits() if credits is None else credits
        self._team = team

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the ledger's own lifespan."""
        return nullcontext() if self._ledger is None else self._ledger.lifespan()

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer whoever asks; pass everything else on."""
        # Most paths end in another way, which tells without a look for the base.
        if not scope["path"].endswith(ENDINGS):
            return self.below(scope, receive, send)
        principal, dialect = facts.get(scope, Principal), facts.get(scope, Dialect) or OPENAI
        path = "/" + path_below_base(scope)
        asked = path == PATH or (path == TEAM and self._team and dialect.team is not None)
        if not asked or principal is None:
            return self.below(scope, receive, send)
        if scope["method"] not in ("GET", "HEAD"):
            return ONLY_READ(scope, receive, send)
        if path == PATH:
            return self._answer(principal, scope, send)
        return self._answer_team(principal, dialect, scope, receive, send)

    async def _answer(self, principal: Principal, scope: Scope, send: Send) -> None:
        quotas, dialect = facts.get(scope, Quotas), facts.get(scope, Dialect) or OPENAI
        standing = None if quotas is None else tightest(quotas.standings, REQUESTS)
        body = dialect.me(principal, standing)
        headers = (NO_STORE, *await self._budget_fields(dialect, scope))
        await send_document(scope, send, body, headers=headers)

    async def _answer_team(
        self, principal: Principal, dialect: Dialect, scope: Scope, receive: Receive, send: Send
    ) -> None:
        versions = dialect.versions
        version = None if versions is None else versions.default_of(principal)
        try:
            standings = [] if self._told is None else await self._told.standings(scope)
        except LedgerUnavailableError:
            await UNAVAILABLE(scope, receive, send)
            return
        if dialect.team is not None:
            await send_document(scope, send, dialect.team(principal, version, standings))

    async def _budget_fields(self, dialect: Dialect, scope: Scope) -> list[tuple[bytes, bytes]]:
        if self._told is None or dialect.budget_fields is None:
            return []
        try:
            standings = await self._told.standings(scope)
        except LedgerUnavailableError:
            return []
        return dialect.budget_fields(standings, self._credits)
