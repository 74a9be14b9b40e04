"""Charging: what calls are charged, planned once for each caller."""

import msgspec

from tests.layers.limits import estimated
from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.operations import FIXED
from veneer.quotas.charging import Charging, holding
from veneer.quotas.estimate import Estimate, Estimator
from veneer.quotas.policy import QuotaPolicy

CHAT = FIXED["chat/completions"]
ALICE = Principal(id="alice", limits={"requests": "7/minute"})


def charging(*policies: QuotaPolicy, estimator: Estimator = estimated) -> Charging:
    return Charging(holding(policies, peers=Peers(()), estimator=estimator))


def charged(
    charges_by: Charging, principal: Principal | None, *, model: str = "m", client: str = "::1"
) -> list[tuple[int, tuple[str, ...], int]]:
    scope = {"type": "http", "client": (client, 1), "headers": []}
    call = Call(CHAT, model)
    facts.put(scope, call)
    if principal is not None:
        facts.put(scope, principal)
    bill = charges_by.bill(scope, CHAT.name, call, b"")
    return [(charge.quota.limit, charge.partition, charge.cost) for charge in bill.charges]


def test_a_key_that_is_read_anew_has_its_new_limits() -> None:
    counted = charging(QuotaPolicy("60/minute"))
    once = charged(counted, ALICE)
    assert once == charged(counted, ALICE) == [(7, ("key", "alice"), 1)]
    changed = msgspec.structs.replace(ALICE, limits={"requests": "9/minute"})
    assert charged(counted, changed) == [(9, ("key", "alice"), 1)]
    assert charged(counted, ALICE) == once


def test_models_operations_and_callers_are_planned_apart() -> None:
    counted = charging(
        QuotaPolicy("60/minute", partition=("key", "model"), models={"big": "1/day"})
    )
    bob = Principal(id="bob")
    for _ in range(2):
        assert charged(counted, bob) == [(60, ("key", "bob", "model", "m"), 1)]
        assert charged(counted, bob, model="big") == [(1, ("key", "bob", "model", "big"), 1)]
        assert charged(counted, ALICE)[0][:2] == (7, ("key", "alice", "model", "m"))


def test_partitions_of_peers_and_of_the_hosts_functions_are_asked_each_time() -> None:
    names = iter(["one", "two"])
    peers = charging(QuotaPolicy("60/minute", partition="peer"))
    own = charging(QuotaPolicy("60/minute", partition=lambda _scope: next(names)))
    first, second = (charged(peers, ALICE, client=ip)[0][1] for ip in ("1.1.1.1", "2.2.2.2"))
    assert first != second
    assert [charged(own, ALICE)[0][1] for _ in range(2)] == [("own", "one"), ("own", "two")]
    anonymous = charging(QuotaPolicy("60/minute"))
    seen = [charged(anonymous, None, client=ip)[0][1] for ip in ("1.1.1.1", "2.2.2.2")]
    assert seen == [first, second]


def test_policies_of_two_layers_make_one_bill_each_with_its_own_estimate() -> None:
    def dear(_call: Call, _body: bytes) -> Estimate:
        return Estimate(100, 200)

    outer = charging(QuotaPolicy("1000/minute", unit="tokens", name="outer"))
    inner = charging(QuotaPolicy("5000/minute", unit="tokens", name="inner"), estimator=dear)
    both = Charging([*outer.held, *inner.held])
    bob = Principal(id="bob")
    assert charged(both, bob) == [(1000, ("key", "bob"), 30), (5000, ("key", "bob"), 300)]
    assert both.names == ["outer", "inner"]
