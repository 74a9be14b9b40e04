"""Quota policies: whose limit goes before whose, on which counters, and what cannot be."""

import logging
import re
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import http_scope
from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.operations import NAMES
from veneer.quotas.policy import MAX_REMEMBERED, QuotaPolicy
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, Quota

CHAT = "chat.completions"


def who(**limits: str) -> Principal:
    return Principal(id="me", limits=limits)


def found(
    policy: QuotaPolicy,
    principal: Principal | None = None,
    model: str | None = "gpt",
    operation: str = CHAT,
) -> list[tuple[str, int, float]]:
    """Return the counter, the limit and the window of every quota that holds a call."""
    quotas = policy.quotas_for(principal, model, operation)
    return [(quota.policy, quota.limit, quota.window) for quota in quotas]


def test_a_policy_has_a_quota_for_each_of_its_windows() -> None:
    policy = QuotaPolicy("60/minute; 10000/day", name="rpm", strict=True, on_failure="closed")
    shared = {"policy": "rpm", "unit": REQUESTS, "strict": True, "on_failure": "closed"}
    assert policy.quotas_for(None, None, "models") == (
        Quota(limit=60, window=60.0, **shared),  # type: ignore[arg-type]  # made of literals above
        Quota(limit=10000, window=86400.0, **shared),  # type: ignore[arg-type]  # as above
    )


@pytest.mark.parametrize("limit", ["20", 20])
def test_concurrent_requests_have_no_window(limit: str | int) -> None:
    assert found(QuotaPolicy(limit, unit=CONCURRENT)) == [(CONCURRENT, 20, 0.0)]


def test_a_policy_is_called_as_its_unit_unless_it_has_a_name() -> None:
    assert QuotaPolicy("1/day", unit=TOKENS).name == "tokens"
    assert QuotaPolicy("1/day", unit=TOKENS, name="tpd").name == "tpd"


def test_unlimited_is_no_quota() -> None:
    assert found(QuotaPolicy("unlimited")) == []
    assert found(QuotaPolicy("5/day"), who(requests="unlimited")) == []
    assert found(QuotaPolicy("5/day", models={"gpt": "unlimited"})) == []
    assert found(QuotaPolicy("unlimited"), who(requests="5/day")) == [("requests", 5, 86400.0)]


def test_the_key_goes_before_the_model_and_that_before_the_operation() -> None:
    policy = QuotaPolicy("1/day", models={"gpt*": "2/day"}, operations={CHAT: "3/day"})
    assert found(policy, who(requests="4/day")) == [("requests", 4, 86400.0)]
    assert found(policy, who(other="4/day")) == [("requests:gpt*", 2, 86400.0)]
    assert found(policy, None, "llama") == [(f"requests:{CHAT}", 3, 86400.0)]
    assert found(policy, None, None) == [(f"requests:{CHAT}", 3, 86400.0)]
    assert found(policy, None, "llama", "embeddings") == [("requests", 1, 86400.0)]


def test_the_first_pattern_that_matches_counts_and_case_matters() -> None:
    policy = QuotaPolicy("9/day", models={"gpt-4*": "1/day", "gpt-[!4]*": "2/day", "*": "3/day"})
    assert [found(policy, None, model)[0][1] for model in ("gpt-4o", "gpt-5", "GPT-4", "gpt")] == [
        *(1, 2, 3, 3)
    ]


def test_tokens_are_counted_of_the_operations_that_have_them() -> None:
    policy = QuotaPolicy("5/day", unit=TOKENS)
    counted = {name for name in NAMES if found(policy, who(tokens="7/day"), "gpt", name)}
    assert counted == {"chat.completions", "completions", "responses", "embeddings"}
    assert found(policy, None, None, "models") == []


@pytest.mark.parametrize("limit", ["", "0/day", "5", "5/eon", "\0", "x" * 10**6, "٣/day"])
def test_a_key_s_limit_that_cannot_be_read_is_logged_once_and_the_default_counts(
    limit: str, caplog: pytest.LogCaptureFixture
) -> None:
    policy = QuotaPolicy("5/day", models={"gpt": "6/day"})
    with caplog.at_level(logging.ERROR, "veneer.ratelimit"):
        for _ in range(3):
            assert found(policy, who(requests=limit)) == [("requests:gpt", 6, 86400.0)]
            assert found(policy, who(requests=limit), "llama") == [("requests", 5, 86400.0)]
    (line,) = caplog.messages
    assert "the policy requests that cannot be read" in line
    assert line.isprintable()
    assert len(line) < 1000


@pytest.mark.parametrize(("limit", "units"), [(7, 7), (None, 5), ([], 5), ({}, 5), (True, 5)])
def test_a_verifier_that_leaves_no_text_crashes_nothing(limit: Any, units: int) -> None:
    principal = Principal(id="me", limits={CONCURRENT: limit})
    assert found(QuotaPolicy(5, unit=CONCURRENT), principal) == [(CONCURRENT, units, 0.0)]


@given(st.text())
def test_no_limit_of_a_key_crashes_a_call(limit: str) -> None:
    assert len(QuotaPolicy("5/day").quotas_for(who(requests=limit), "gpt", CHAT)) < 30


def test_what_is_remembered_is_bounded() -> None:
    policy = QuotaPolicy("5/day", models={"gpt*": "6/day"})
    for number in range(1, MAX_REMEMBERED + 100):
        assert found(policy, who(requests=f"{number}/day"))[0][1] == number
        assert found(policy, None, f"gpt-{number}")[0][1] == 6
    assert policy._own.cache_info().currsize <= MAX_REMEMBERED
    assert policy._of_model.cache_info().currsize <= MAX_REMEMBERED


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"limit": "0/day"}, "limit: '0/day' has a limit that is not from 1"),
        ({"limit": "5"}, "limit: '5' is no limit of requests"),
        ({"limit": "5/day", "unit": CONCURRENT}, "limit: '5/day' is no limit of concurrent"),
        ({"unit": "cents"}, "unit is 'cents': give one of requests, tokens, concurrent-requests."),
        ({"on_failure": "panic"}, "on_failure is 'panic': give one of open, closed, local."),
        ({"partition": "keys"}, "partition has 'keys'"),
        ({"partition": []}, "partition is empty"),
        ({"limit": 5, "unit": CONCURRENT, "strict": True}, "strict is for windows"),
        ({"name": ""}, "name is ''"),
        ({"name": "a\nb"}, "name is 'a\\nb'"),
        ({"name": "é"}, "name is 'é'"),
        ({"name": "x" * 65}, "name is 'xxx"),
        ({"name": "a:b"}, "without a colon"),
        ({"models": {"gpt": "x"}}, "models['gpt']: 'x' is no limit"),
        ({"models": {"": "5/day"}}, "models has ''"),
        ({"models": {"a\0": "5/day"}}, "models has 'a\\x00'"),
        ({"models": {"x" * 513: "5/day"}}, "models has 'xxx"),
        ({"operations": {"chat": "5/day"}}, "operations: 'chat' is no operation."),
        ({"operations": {CHAT: "x"}}, "operations['chat.completions']: 'x' is no limit"),
        ({"operations": {"models": "5/day"}, "unit": TOKENS}, "whose tokens are not counted"),
        (
            {"operations": {"embeddings": "5/day"}, "models": {"embeddings": "5/day"}},
            "operations and models both have 'embeddings'",
        ),
    ],
)
def test_an_option_that_cannot_be_is_named(options: Mapping[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        QuotaPolicy(**{"limit": "5/day", **options})


def test_operations_of_the_operator_s_own_may_have_limits() -> None:
    policy = QuotaPolicy("5/day", operations={"/rerank": "6/day"})
    assert found(policy, None, None, "/rerank") == [("requests:/rerank", 6, 86400.0)]


def test_a_policy_reads_what_its_partition_and_its_exceptions_need() -> None:
    assert QuotaPolicy("1/day").reads == (Principal,)
    assert QuotaPolicy("1/day", partition="all").reads == ()
    assert QuotaPolicy("1/day", partition="model", models={"m": "2/day"}).reads == (Call,)
    assert QuotaPolicy("1/day", models={"m": "2/day"}).reads == (Principal, Call)


def test_a_policy_knows_its_partitions() -> None:
    scope = http_scope(client=("192.0.2.1", 1))
    partition = QuotaPolicy("1/day", partition=["peer", "all"]).partitioner(Peers())
    assert list(partition(scope)) == [("peer", "c0000201", "all", "")]


@given(st.lists(st.integers(10**6, 10**9), min_size=2, max_size=2, unique=True))
def test_no_two_windows_share_a_counter(windows: list[int]) -> None:
    policy = QuotaPolicy("; ".join(f"5/{window} seconds" for window in windows))
    assert len({quota.id for quota in policy.quotas_for(None, None, CHAT)}) == 2
