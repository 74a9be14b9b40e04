"""Accounts: on which ones a call is counted, under all budgets that there are."""

import math
from collections.abc import Sequence

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.auth.peers import Peers
from veneer.budgets.policy import BudgetPolicy
from veneer.facts import BudgetStanding, Principal
from veneer.ledger.entry import Account, Balance, Exhausted
from veneer.quotas.partition import Partitioner, Partitions

# Callers whose accounts are remembered.
MAX_REMEMBERED = 4096

# What a caller alone decides, whatever it asks for and wherever it is.
_OF_CALLERS = frozenset(["key", "team", "user", "tag", "all"])


class _Known(msgspec.Struct, frozen=True):
    """The accounts of a caller, and the times between which they are these."""

    since: float
    until: float
    accounts: tuple[Account, ...]


class Accounts:
    """Says on which accounts calls are counted under a set of policies.

    `peers` tells partitions by address apart. `reads` are the fact types that the policies cannot
    do without; `asks_host` is whether one goes by a function of the host's. Raises ValueError for
    two policies of one name, which would count every call twice where they share an account.
    """

    def __init__(self, policies: Sequence[BudgetPolicy], *, peers: Peers) -> None:
        self._policies = {policy.name: policy for policy in policies}
        if len(self._policies) < len(policies):
            names = ", ".join(sorted(policy.name for policy in policies))
            raise ValueError(
                f"Two budgets have the same name, of these: {names}. Give each a name of its own."
            )
        self.reads = tuple(dict.fromkeys(kind for policy in policies for kind in policy.reads))
        self.asks_host = any(policy.asks_host for policy in policies)
        # Those who go by the same share one, so that a request asks it once.
        shared: dict[str, Partitioner] = {}
        self._asked: list[tuple[BudgetPolicy, Partitioner]] = []
        for policy in policies:
            partitioner = policy.partitioner(peers)
            if isinstance(policy.partition, str):
                partitioner = shared.setdefault(policy.partition, partitioner)
            self._asked.append((policy, partitioner))
        named = {name for policy in policies for name in _names(policy)}
        self._remembers = named <= _OF_CALLERS
        self._known: dict[tuple[object, ...], _Known] = {}

    def accounts_for(self, scope: Scope, at: float) -> tuple[Account, ...]:
        """Return the accounts of a call at that time, in the order of the policies."""
        principal = facts.get(scope, Principal)
        if principal is None or principal.budgets or not self._remembers:
            return self._find(scope, principal, at)
        who = (principal.id, principal.team, principal.user, tuple(principal.tags))
        known = self._known.get(who)
        if known is None or not known.since <= at < known.until:
            known = _known(self._find(scope, principal, at))
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[who] = known
        return known.accounts

    def _find(self, scope: Scope, principal: Principal | None, at: float) -> tuple[Account, ...]:
        accounts: list[Account] = []
        asked: Partitioner | None = None
        found: Partitions = ()
        for policy, partitioner in self._asked:
            if partitioner is not asked:
                asked, found = partitioner, partitioner(scope)
            accounts += policy.accounts_for(found, principal, at)
        return tuple(accounts)

    def policy_of(self, account: Account) -> BudgetPolicy:
        """Return the policy that an account belongs to."""
        return self._policies[account.budget]

    def standing(self, found: Balance | Exhausted) -> BudgetStanding:
        """Return how a budget stands, as its caller may be told."""
        account = found.account
        policy = self.policy_of(account)
        return BudgetStanding(
            budget=account.budget,
            by=account.partition[::2],
            period=policy.period.name,
            ends=account.ends,
            limit=account.limit,
            spent=found.spent,
            held=found.held,
            exceeded=isinstance(found, Exhausted),
            disclosed=policy.disclosed,
        )


def _names(policy: BudgetPolicy) -> Sequence[str]:
    """Return what a budget goes by, `own` for a function of the host's."""
    by = policy.partition
    if callable(by):
        return ("own",)
    return (by,) if isinstance(by, str) else by


def _known(accounts: tuple[Account, ...]) -> _Known:
    since = max((account.starts for account in accounts), default=0)
    ends = [account.ends for account in accounts if account.ends is not None]
    return _Known(since, min(ends, default=math.inf), accounts)
