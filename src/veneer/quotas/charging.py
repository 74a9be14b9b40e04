"""Charging: what one request is to take, of which quotas, on whose counters."""

from collections.abc import Sequence

import msgspec
from starlette.types import Scope

from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.quotas.estimate import Estimate, Estimator
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.quota import TOKENS, Charge


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
        self._policies = [(policy, policy.partitioner(peers)) for policy in policies]
        self._estimator = estimator
        self.names = [policy.name for policy in policies]
        self.counts_tokens = any(policy.unit == TOKENS for policy in policies)
        self.asks_host = any(policy.asks_host for policy in policies)
        self.reads_call = self.counts_tokens or any(Call in policy.reads for policy in policies)

    def bill(
        self, scope: Scope, operation: str, call: Call | None, body: bytes, *, look: bool = False
    ) -> Bill:
        """Return what a request is charged; with `look`, the same at no cost."""
        charges: list[Charge] = []
        estimate: Estimate | None = None
        principal = facts.get(scope, Principal)
        model = None if call is None else call.model
        for policy, partitions in self._policies:
            quotas = policy.quotas_for(principal, model, operation)
            if not quotas:
                continue
            cost = 0 if look else 1
            if policy.unit == TOKENS and call is not None and not look:
                if estimate is None:
                    estimate = self._estimator(call, body)
                cost = max(1, estimate.total)
            for partition in partitions(scope):
                charges += [Charge(quota, partition, cost) for quota in quotas]
        return Bill(charges, estimate)
