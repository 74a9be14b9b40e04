"""Balance: tells callers how they stand under their budgets.

Answers GET on its path, 405 for other methods there, and 503 while the ledger is away; everything
else passes. Reads what the partitions of its budgets need; writes nothing. Stands below what says
who calls and what limits requests, and above OperationsMiddleware, which knows no such path.
"""

import re
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.answers import ONLY_READ, send_document
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.told import Told
from veneer.dialects import OPENAI, Dialect, Kind
from veneer.errors import Error
from veneer.layer import Layer
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.operations import path_below_base
from veneer.prices.credits import Credits

PATH = "/balance"
UNAVAILABLE = Error(
    Kind.LEDGER_UNAVAILABLE,
    "The balance cannot be read right now. Try again later.",
    headers=((b"retry-after", b"1"),),
)

_POSSIBLE = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+", re.ASCII).fullmatch


class BalanceMiddleware(Layer):
    """Answers a caller with how its budgets stand, at `path` below the base of the API.

    `budgets` and `ledger` are those of the `CostMiddleware` below, and `credits`, `trusted_proxies`
    and `clock` the same as there. Budgets by model, by operation, or by a function of the host's
    are left out, for nobody knows of a call that is not made which one it is counted on. The
    dialect says what the answer looks like; amounts are only in it where a policy is `disclosed`.

    Raises ValueError for options that cannot be.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        ledger: Ledger,
        budgets: Sequence[BudgetPolicy],
        credits: Credits | None = None,  # noqa: A002 - the option's name
        path: str = PATH,
        trusted_proxies: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not _POSSIBLE(path):
            raise ValueError(
                f"The path of the balance is {path!r}: give one such as '/balance', of letters, "
                "digits, '.', '_', '~' and '-', without a slash at its end."
            )
        self._told = Told(ledger, budgets, trusted_proxies=trusted_proxies, clock=clock)
        self.reads = self._told.reads
        super().__init__(app)
        self._ledger = ledger
        self._credits = Credits() if credits is None else credits
        self._path = path.removeprefix("/")
        self.own_operations = frozenset([path])

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the ledger's own lifespan."""
        return self._ledger.lifespan()

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Answer whoever asks for a balance; pass everything else on."""
        # Most paths end in another way, which tells without a look for the base.
        if not scope["path"].endswith(self._path) or path_below_base(scope) != self._path:
            return self.below(scope, receive, send)
        if scope["method"] not in ("GET", "HEAD"):
            return ONLY_READ(scope, receive, send)
        return self._answer(scope, receive, send)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            standings = await self._told.standings(scope)
        except LedgerUnavailableError:
            await UNAVAILABLE(scope, receive, send)
            return
        dialect = facts.get(scope, Dialect) or OPENAI
        await send_document(scope, send, dialect.balance(standings, self._credits))
