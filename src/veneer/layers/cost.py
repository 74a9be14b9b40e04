"""Cost: what a call may cost is held before it is made, and what it did cost settled after it.

Answers 400 for a model without a price, 429 or 402 (as the dialect has it) where a budget has too
little left, 503 while the ledger is away. Reads `Usage`, and what the partitions of its budgets
need; writes `Call` and `Cost`. Stands below what replays answers and what limits tokens, right
above the relay: a call that comes here is made, and is paid for once.
"""

import os
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import msgspec
from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.auth.peers import Peers
from veneer.budgets.accounts import Accounts
from veneer.budgets.periods import LAST
from veneer.budgets.policy import BudgetPolicy
from veneer.budgets.refusal import NOT_PRICED, UNAVAILABLE, refusal
from veneer.budgets.thresholds import OnThreshold, Thresholds
from veneer.call import Call, read_call
from veneer.client import Client
from veneer.dialects import OPENAI, Dialect
from veneer.edits import Edits, edits_of
from veneer.errors import Error
from veneer.facts import Cost, Usage
from veneer.layer import Layer
from veneer.layers._bill import Bill
from veneer.layers._billed import Billed
from veneer.layers._cutting import Cutting, cutting_of
from veneer.layers._notice import Notice
from veneer.layers._reckoning import Reckoning
from veneer.layers._rows import hold_of
from veneer.layers._tariff import PRICED, Tariff
from veneer.layers._till import MAX_SPOOL, Held, OnFailure, Till
from veneer.ledger.entry import Exhausted
from veneer.ledger.ledger import Ledger, LedgerUnavailableError
from veneer.ledger.memory import MemoryLedger
from veneer.operations import Endpoint, endpoint_of
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits
from veneer.quotas.estimate import Estimator, bound

LATEST = LAST - 1.0


class CostMiddleware(Layer):
    """Charges calls by `prices`, within `budgets`, and writes each into `ledger`.

    Chat, completions, responses, embeddings, images and audio are charged; all else passes. Where
    the model is not read, as in uploads, or not named, the operation's name is looked up among the
    `prices`. A model without a price is refused, or free: `unpriced`.

    `providers` are the targets of a router that may have prices of their own, as `target/model`:
    then, and where several models may answer, the dearest is held, and who answers is paid. Calls
    that are made with the caller's own key are `free`, and only noted, or `charge`d: `own_keys`.
    Tries that failed, and that a target says it bills, are noted as rows of their own, which cost
    the caller nothing.

    What is held is the most that a call can cost, times `factor`: its input is bounded by its
    bytes, its output by its cap, or `default_output` where it names none; `estimator` stands in for
    that.

    `ledger` is this process's memory, if none is given. While it is away, `on_failure` decides:
    `closed` answers 503, `open` makes calls without a hold, outside all budgets, and writes their
    rows when it is back. Until then they wait in the folder `spool`, `max_spool` bytes for each
    process, and survive it; so does what calls come to that were held before. Without one they wait
    in the ledger's queue. Where there is no room, no further call is made.

    A stream whose cost has used up what was held for it, as where none or a higher cap was given,
    goes on if `overrun` is `charge`: the excess is charged and logged. If it is `cut`, the stream
    is ended there with an error event, its upstream is cancelled, and what was passed on is
    charged: by the usage that the upstream tells on the way, else a token for each event.

    With `receipts`, answers tell what they cost, in the dialect's form, and streams their usage,
    too, whether asked or not; `credits` is what a credit is worth where they are shown.
    `on_threshold` is called with a `Crossing` when what is spent reaches a `soft` threshold of a
    budget, once over all processes on a ledger; it may be asynchronous, and have a `lifespan`, as a
    `ThresholdWebhook` has. Each is logged, too.
    `trusted_proxies` are for budgets by peer, as for `AuthMiddleware`. `clock` gives seconds since
    the epoch.

    Raises ValueError for options that cannot be.
    """

    writes = (Call, Cost)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        prices: PriceBook,
        ledger: Ledger | None = None,
        budgets: Sequence[BudgetPolicy] = (),
        credits: Credits | None = None,  # noqa: A002 - the option's name
        unpriced: Literal["refuse", "free"] = "refuse",
        own_keys: Literal["free", "charge"] = "free",
        providers: Sequence[str] = (),
        factor: str = "1",
        default_output: int = 1024,
        receipts: bool = True,
        overrun: Literal["charge", "cut"] = "charge",
        on_failure: OnFailure = "closed",
        spool: str | os.PathLike[str] | None = None,
        max_spool: int = MAX_SPOOL,
        on_threshold: OnThreshold | None = None,
        estimator: Estimator | None = None,
        trusted_proxies: Iterable[str] = (),
        clock: Callable[[], float] = time.time,
        provides: Iterable[type] = (),
    ) -> None:
        self._accounts = Accounts(budgets, peers=Peers(trusted_proxies))
        self.reads = (*(kind for kind in self._accounts.reads if kind is not Call), Usage)
        super().__init__(app, provides=provides)
        self._tariff = Tariff(
            prices,
            estimator=estimator or bound(default_output=default_output),
            default_output=default_output,
            factor=factor,
            unpriced=unpriced,
            own_keys=own_keys,
            providers=providers,
        )
        if overrun not in ("charge", "cut"):
            raise ValueError(f"overrun is {overrun!r}: say 'charge' or 'cut'.")
        self._cuts = overrun == "cut"
        self._ledger = MemoryLedger() if ledger is None else ledger
        self._till = Till(self._ledger, on_failure=on_failure, spool=spool, max_spool=max_spool)
        self._thresholds = Thresholds(budgets, on_threshold)
        if self._thresholds.any:
            self._ledger.watch(self._thresholds.watch)
        self._credits = Credits() if credits is None else credits
        self._receipts = receipts
        self._clock = clock

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Be in the lifespans of the ledger, its spool, and of whoever is told of thresholds."""
        # The ledger's ends first: what it settles last may cross something, too.
        async with self._thresholds.lifespan(), self._till.lifespan():
            yield

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold what the call may cost and pass it on, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        priced = endpoint is not None and endpoint.operation.name in PRICED
        if not priced or scope["method"] != "POST":
            await self.below(scope, receive, send)
            return
        call = known.get(Call) or await read_call(scope, receive)
        if not isinstance(call, Call):
            await call(scope, receive, send)
            return
        at = self._now()
        bill = self._tariff.bill(scope, call, known[Client].kept, at)
        if bill is None:
            await NOT_PRICED(scope, receive, send)
            return
        accounts = self._accounts.accounts_for(scope, at)
        hold = hold_of(known, call, amount=bill.amount, accounts=accounts, at=at)
        try:
            held = await self._till.hold(hold)
        except LedgerUnavailableError:
            await UNAVAILABLE(scope, receive, send)
            return
        if not isinstance(held, Held):
            await self._refusal(scope, held, bill, at)(scope, receive, send)
            return
        edits = known.get(Edits) or edits_of(scope)
        edits.usage_wanted = True
        if bill.need.images:
            edits.images_wanted = True
        reckoning = Reckoning(scope, known, call, bill, edits)
        billed = self._billed(known, send, call, reckoning, held, edits)
        cutting = None
        if self._cuts:
            cutting = cutting_of(scope, billed.send, call=call, bill=bill, reckoning=reckoning)
        if cutting is not None:
            await self._make(cutting, scope, receive, send, billed)
            return
        try:
            await self.below(scope, receive, billed.send)
        finally:
            settling = billed.settle()
            if settling is not None:
                await settling

    def _now(self) -> float:
        """Return the time; there are no periods outside of these, whatever a clock says."""
        at = self._clock()
        if 0.0 <= at <= LATEST:
            return at
        return LATEST if at > LATEST else 0.0

    async def _make(
        self, cutting: Cutting, scope: Scope, receive: Receive, send: Send, billed: Billed
    ) -> None:
        """Pass on a call whose stream may be cut; it is settled before its client is told."""
        try:
            await cutting.run(self.below, scope, receive)
        finally:
            settling = billed.settle()
            if settling is not None:
                await settling
        await cutting.close(scope, send)

    def _billed(  # noqa: PLR0913, PLR0917 - all of a call's way in
        self,
        known: dict[type, Any],
        send: Send,
        call: Call,
        reckoning: Reckoning,
        held: Held,
        edits: Edits,
    ) -> Billed:
        """Return the way back of a call that is made."""
        dialect = known.get(Dialect) or OPENAI
        notice = None
        # There may be no budgets to tell of, and no words for that.
        if held.balances and dialect.budget_fields is not None:
            notice = Notice(self._accounts, held, dialect.budget_fields, self._credits)
        billed = Billed(
            known,
            send,
            held,
            self._till,
            reckoning,
            dialect,
            self._credits,
            notice,
            self._clock,
            time.perf_counter(),
        )
        if self._receipts:
            billed.show(edits, call.operation.name)
            # A stream whose client did not ask for usage shows it, too.
            if call.stream:
                edits.usage_shown = True
        return billed

    def _refusal(self, scope: Scope, exhausted: Exhausted, bill: Bill, at: float) -> Error:
        """Return the error of a call that does not fit, with what the dialect says of budgets."""
        standing = self._accounts.standing(exhausted)
        error = refusal(standing, bill.amount, at)
        write = (facts.get(scope, Dialect) or OPENAI).budget_fields
        if write is None:
            return error
        fields = write([standing], self._credits)
        return msgspec.structs.replace(error, headers=(*error.headers, *fields))
