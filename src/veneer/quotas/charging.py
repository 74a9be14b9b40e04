"""Charging: what one request is to take, of which quotas, on whose counters."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.quotas.estimate import Estimate, Estimator, estimated
from veneer.quotas.partition import Partitioner, goes_by_principal
from veneer.quotas.policy import MAX_REMEMBERED, QuotaPolicy
from veneer.quotas.quota import TOKENS, Charge


class Bill(msgspec.Struct, frozen=True):
    """The charges of a request, and the estimate of its tokens if they are among them."""

    charges: Sequence[Charge]
    estimate: Estimate | None = None


class Held(msgspec.Struct, frozen=True):
    """A policy, with what says whose counters it goes by and what estimates its tokens."""

    policy: QuotaPolicy
    partitioner: Partitioner
    estimator: Estimator


class Plan(msgspec.Struct, frozen=True):
    """What a caller's calls of one operation to one model are charged, whatever is in them.

    `tokens` are the places of the charges whose cost is an estimate, each with what estimates it.
    """

    principal: Principal | None
    bill: Bill
    tokens: Sequence[tuple[int, Estimator]]


def holding(
    policies: Iterable[QuotaPolicy], *, peers: Peers, estimator: Estimator
) -> Sequence[Held]:
    """Return what holds requests to policies.

    `peers` tells partitions by address apart; `estimator` says how many tokens a call may need.
    """
    partitioners: dict[str, Partitioner] = {}
    held: list[Held] = []
    for policy in policies:
        partitioner = policy.partitioner(peers)
        if isinstance(policy.partition, str):
            # One for all who go by the same, so that a request asks it once.
            partitioner = partitioners.setdefault(policy.partition, partitioner)
        held.append(Held(policy, partitioner, estimator))
    return held


class Charging:
    """Says what requests are charged that are `held` to policies.

    `names` are those of the policies. `reads_call` is whether a policy goes by the call's model, or
    counts its tokens; `asks_host`, whether one goes by a function of the host's.
    """

    def __init__(self, held: Sequence[Held]) -> None:
        policies = [one.policy for one in held]
        self.held = held
        # What was planned for those who came last; each holds for the very same principal.
        self._plans: dict[tuple[str, str | None, str, bool], Plan] = {}
        self._plannable = all(goes_by_principal(policy.partition) for policy in policies)
        self.names = [policy.name for policy in policies]
        self.counts_tokens = any(policy.unit == TOKENS for policy in policies)
        self.asks_host = any(policy.asks_host for policy in policies)
        self.reads_call = self.counts_tokens or any(Call in policy.reads for policy in policies)

    def bill(
        self, scope: Scope, operation: str, call: Call | None, body: bytes, *, look: bool = False
    ) -> Bill:
        """Return what a request is charged; with `look`, the same at no cost."""
        known = scope[facts.SCOPE_KEY]
        principal = known.get(Principal)
        model = None if call is None else call.model
        if principal is None or not self._plannable:
            plan = self._plan(scope, principal, model, operation, look=look)
        else:
            key = (principal.id, model, operation, look)
            found = self._plans.get(key)
            if found is None or found.principal is not principal:
                found = self._plan(scope, principal, model, operation, look=look)
                if len(self._plans) >= MAX_REMEMBERED:
                    self._plans.clear()
                self._plans[key] = found
            plan = found
        if call is None or not plan.tokens:
            return plan.bill
        return _estimated(known, plan, call, body)

    def _plan(
        self,
        scope: Scope,
        principal: Principal | None,
        model: str | None,
        operation: str,
        *,
        look: bool,
    ) -> Plan:
        charges: list[Charge] = []
        tokens: list[tuple[int, Estimator]] = []
        partitions: dict[Partitioner, Sequence[tuple[str, ...]]] = {}
        for held in self.held:
            partitioner = held.partitioner
            for quota in held.policy.quotas_for(principal, model, operation):
                if partitioner not in partitions:
                    partitions[partitioner] = partitioner(scope)
                for partition in partitions[partitioner]:
                    if quota.unit == TOKENS and not look:
                        tokens.append((len(charges), held.estimator))
                    charges.append(Charge(quota, partition, 0 if look else 1))
        return Plan(principal, Bill(charges), tokens)


def _estimated(known: dict[type, Any], plan: Plan, call: Call, body: bytes) -> Bill:
    """Return the bill of a call whose tokens are charged; its estimate is the first one made."""
    charges = list(plan.bill.charges)
    made: Estimate | None = None
    asked: Estimator | None = None
    cost = 0
    for index, estimator in plan.tokens:
        if estimator is not asked:
            asked, estimate = estimator, estimated(known, estimator, call, body)
            made = made or estimate
            cost = estimate.input_tokens + estimate.output_tokens
            cost = max(cost, 1)
        charge = charges[index]
        charges[index] = Charge(charge.quota, charge.partition, cost)
    return Bill(charges, made)
