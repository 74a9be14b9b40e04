"""Charging: what one request is to take, of which quotas, on whose counters."""

from collections.abc import Sequence
from functools import lru_cache, partial

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.quotas.estimate import Estimate, Estimator
from veneer.quotas.partition import Partitioner, Partitions
from veneer.quotas.policy import MAX_REMEMBERED, QuotaPolicy
from veneer.quotas.quota import TOKENS, Charge, Quota


class Bill(msgspec.Struct, frozen=True):
    """The charges of a request, and the estimate of its tokens if they are among them."""

    charges: list[Charge]
    estimate: Estimate | None = None


class Charging:
    """Says what requests are charged under a set of policies.

    `peers` tells partitions by address apart; `estimator` says how many tokens a call may need.
    `names` are those of the policies.
    `reads_call` is whether a policy goes by the call's model, or counts its tokens; `asks_host`,
    whether one goes by a function of the host's.
    """

    def __init__(
        self, policies: Sequence[QuotaPolicy], *, peers: Peers, estimator: Estimator
    ) -> None:
        partitioners: dict[str, Partitioner] = {}
        self._policies: list[tuple[QuotaPolicy, Partitioner]] = []
        for policy in policies:
            partitioner = policy.partitioner(peers)
            if isinstance(policy.partition, str):
                # One for all who go by the same, so that a request asks it once.
                partitioner = partitioners.setdefault(policy.partition, partitioner)
            self._policies.append((policy, partitioner))
        # Few callers have limits of their own.
        self._common = lru_cache(MAX_REMEMBERED)(partial(self._held, None))
        self._estimator = estimator
        self.names = [policy.name for policy in policies]
        self.counts_tokens = any(policy.unit == TOKENS for policy in policies)
        self.asks_host = any(policy.asks_host for policy in policies)
        self.reads_call = self.counts_tokens or any(Call in policy.reads for policy in policies)

    def bill(
        self, scope: Scope, operation: str, call: Call | None, body: bytes, *, look: bool = False
    ) -> Bill:
        """Return what a request is charged; with `look`, the same at no cost."""
        principal = facts.get(scope, Principal)
        model = None if call is None else call.model
        if principal is not None and principal.limits:
            held = self._held(principal, model, operation)
        else:
            held = self._common(model, operation)
        charges: list[Charge] = []
        estimate: Estimate | None = None
        asked: Partitioner | None = None
        partitions: Partitions = ()
        for quota, partitioner in held:
            cost = 0 if look else 1
            if quota.unit == TOKENS and call is not None and not look:
                if estimate is None:
                    estimate = self._estimator(call, body)
                cost = max(1, estimate.total)
            if partitioner is not asked:
                asked, partitions = partitioner, partitioner(scope)
            for partition in partitions:
                charge = Charge(quota, partition, cost)
                charges.append(charge)
        return Bill(charges, estimate)

    def _held(
        self, principal: Principal | None, model: str | None, operation: str
    ) -> list[tuple[Quota, Partitioner]]:
        """Return the quotas that hold a call, each with what says whose counters."""
        return [
            (quota, partitioner)
            for policy, partitioner in self._policies
            for quota in policy.quotas_for(principal, model, operation)
        ]
