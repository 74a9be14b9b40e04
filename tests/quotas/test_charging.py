"""Charging: what calls are charged, planned once for each caller."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.limits import estimated
from veneer import facts
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.operations import FIXED
from veneer.quotas import charging as module
from veneer.quotas.charging import Bill, Charging, holding
from veneer.quotas.estimate import Estimate, Estimator
from veneer.quotas.partition import Choice
from veneer.quotas.policy import QuotaPolicy
from veneer.quotas.quota import Unit

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


def billed(
    charges_by: Charging,
    principal: Principal | None,
    *,
    model: str = "m",
    client: str = "::1",
    look: bool = False,
) -> Bill:
    scope = {"type": "http", "client": (client, 1), "headers": []}
    call = Call(CHAT, model)
    facts.put(scope, call)
    if principal is not None:
        facts.put(scope, principal)
    return charges_by.bill(scope, CHAT.name, call, b"", look=look)


UNITS: tuple[Unit, ...] = ("requests", "tokens", "concurrent-requests")
PARTITIONS: tuple[Choice, ...] = ("key", "team", "tag", "model", "peer", "all", ("key", "model"))
PEOPLE = (
    None,
    ALICE,
    Principal(id="alice", limits={"requests": "9/minute"}),
    Principal(id="bob", team="red", tags=("x", "y"), limits={"tokens": "unlimited"}),
)


def made(unit: Unit, partition: Choice) -> QuotaPolicy:
    return QuotaPolicy(
        "3" if unit == "concurrent-requests" else "60/minute; 900/day",
        unit=unit,
        partition=partition,
        models={"big": "unlimited"},
    )


POLICIES = st.lists(
    st.builds(made, st.sampled_from(UNITS), st.sampled_from(PARTITIONS)), max_size=3
)
CALLS = st.lists(
    st.tuples(
        st.sampled_from(PEOPLE),
        st.sampled_from(["m", "big"]),
        st.sampled_from(["1.1.1.1", "2.2.2.2"]),
        st.booleans(),
    ),
    max_size=8,
)


def dear(_call: Call, _body: bytes) -> Estimate:
    return Estimate(100, 200)


@given(POLICIES, POLICIES, CALLS)
def test_a_joint_bill_is_the_bills_of_both_whatever_was_planned_before(
    above: list[QuotaPolicy],
    below: list[QuotaPolicy],
    calls: list[tuple[Principal | None, str, str, bool]],
) -> None:
    outer = charging(*above)
    inner = charging(*below, estimator=dear)
    both = Charging([*outer.held, *inner.held])
    assert both.counts_tokens == (outer.counts_tokens or inner.counts_tokens)
    assert both.reads_call == (outer.reads_call or inner.reads_call)
    for caller, model, client, look in calls:
        joint = billed(both, caller, model=model, client=client, look=look)
        # Made anew, they have planned nothing yet.
        first, second = (
            billed(Charging(one.held), caller, model=model, client=client, look=look)
            for one in (outer, inner)
        )
        assert joint.charges == [*first.charges, *second.charges]
        assert joint.estimate == (first.estimate or second.estimate)


@given(POLICIES, CALLS)
def test_a_look_is_at_the_same_counters_and_costs_nothing(
    policies: list[QuotaPolicy], calls: list[tuple[Principal | None, str, str, bool]]
) -> None:
    counted = charging(*policies)
    for caller, model, client, first in calls:
        both = {
            look: billed(counted, caller, model=model, client=client, look=look)
            for look in (first, not first)
        }
        assert [(one.quota, one.partition) for one in both[True].charges] == [
            (one.quota, one.partition) for one in both[False].charges
        ]
        assert not any(one.cost for one in both[True].charges)
        assert all(one.cost for one in both[False].charges)
        assert both[True].estimate is None


def test_a_joint_bill_asks_each_estimator_once_for_all_of_its_quotas() -> None:
    asked: list[str] = []

    def asking(name: str, tokens: int) -> Estimator:
        def estimate(_call: Call, _body: bytes) -> Estimate:
            asked.append(name)
            return Estimate(tokens, 0)

        return estimate

    outer = charging(
        QuotaPolicy("100/minute; 900/day", unit="tokens"),
        QuotaPolicy("7/minute"),
        QuotaPolicy("5000/day", unit="tokens", name="more"),
        estimator=asking("outer", 0),
    )
    inner = charging(QuotaPolicy("50/minute", unit="tokens"), estimator=asking("inner", 8))
    both = Charging([*outer.held, *inner.held])
    bob = Principal(id="bob")
    for times in (1, 2):
        bill = billed(both, bob)
        # A call that is estimated at nothing takes a token all the same.
        assert [charge.cost for charge in bill.charges] == [1, 1, 1, 1, 8]
        assert bill.estimate == Estimate(0, 0)
        assert asked == ["outer", "inner"] * times
    billed(both, bob, look=True)
    assert asked == ["outer", "inner"] * 2


def test_an_estimate_is_of_its_own_call_and_not_of_the_one_that_was_planned() -> None:
    sizes = iter([5, 9])
    counted = charging(
        QuotaPolicy("100/minute", unit="tokens"), estimator=lambda *_: Estimate(next(sizes), 0)
    )
    bob = Principal(id="bob")
    first, second = billed(counted, bob), billed(counted, bob)
    assert [bill.charges[0].cost for bill in (first, second)] == [5, 9]


def test_more_callers_than_are_remembered_are_charged_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    counted = charging(QuotaPolicy("60/minute"))
    for name in "abcdeaabcde":
        assert charged(counted, Principal(id=name)) == [(60, ("key", name), 1)]
        assert len(vars(counted)["_plans"]) <= 3
