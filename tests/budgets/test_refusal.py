"""Refusals: what a caller is told, and what the real client makes of it."""

import time
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import Exchange, http_scope
from veneer.budgets.refusal import LONGEST_WAIT, NOT_PRICED, UNAVAILABLE, refusal
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.facts import BudgetStanding
from veneer.prices.money import DOLLAR

# A month that ends with November 2026.
ENDS = 1_796_083_200


def standing(**members: Any) -> BudgetStanding:
    known: dict[str, Any] = {
        "budget": "the host's own",
        "by": ("team",),
        "period": "month",
        "ends": ENDS,
        "limit": 10 * DOLLAR,
        "spent": 9 * DOLLAR,
        "held": DOLLAR // 2,
        "exceeded": True,
    }
    return BudgetStanding(**{**known, **members})


def refused(at: float = ENDS - 3600, requested: int = DOLLAR, **members: Any) -> Error:
    return refusal(standing(**members), requested, at)


def test_a_budget_without_room_says_when_it_begins_anew() -> None:
    assert refused() == Error(
        Kind.BUDGET_EXHAUSTED,
        "The monthly budget of this team has too little left for this call. It begins anew at "
        "2026-12-01T00:00:00Z.",
    )


def test_a_balance_does_not_come_back() -> None:
    assert refused(period="total", ends=None) == Error(
        Kind.BALANCE_TOO_LOW, "The balance of this team is too low for this call."
    )


@pytest.mark.parametrize(
    ("by", "whose"),
    [
        (("key",), " of this key"),
        (("user",), " of this user"),
        (("team", "model"), " of this team and this model"),
        (("all",), ""),
        (("own",), ""),
        (("own", "tag"), " of this tag"),
    ],
)
@pytest.mark.parametrize(
    ("period", "adjective"), [("hour", "hourly"), ("day", "daily"), ("week", "weekly")]
)
def test_a_budget_is_told_by_what_it_is_counted_by(
    by: tuple[str, ...], whose: str, period: str, adjective: str
) -> None:
    message = refused(by=by, period=period).message
    assert message.startswith(f"The {adjective} budget{whose} has too little left for this call.")


def test_amounts_are_told_only_where_they_may_be() -> None:
    amounts = ": limit $10, spent $9, held for calls that run $0.5, needed up to $1."
    assert f"for this call{amounts} It begins" in refused(disclosed=True).message
    balance = refused(disclosed=True, period="total", ends=None).message
    assert balance == f"The balance of this team is too low for this call{amounts}"
    for hidden in (refused(), refused(period="total", ends=None)):
        assert "$" not in hidden.message
        assert "host" not in hidden.message


@pytest.mark.parametrize(
    ("before", "advice"),
    [
        (3600.0, None),
        (120.0, None),
        (119.5, None),
        (119.0, b"119"),
        (0.25, b"1"),
        (0.0, b"1"),
        # A clock that was moved since the account was chosen.
        (-5.0, b"1"),
    ],
)
def test_only_a_period_about_to_end_is_waited_for(before: float, advice: bytes | None) -> None:
    headers = dict(refused(ENDS - before).headers)
    assert headers.get(b"retry-after") == advice


def test_what_the_next_period_has_no_room_for_is_not_waited_for() -> None:
    assert refused(ENDS - 5, requested=10 * DOLLAR).headers == ((b"retry-after", b"5"),)
    assert refused(ENDS - 5, requested=10 * DOLLAR + 1).headers == ()


@given(st.floats(0, 2 * LONGEST_WAIT))
def test_advice_is_never_too_early(before: float) -> None:
    at = ENDS - before
    for _, wait in refused(at).headers:
        assert at + int(wait) >= ENDS
        assert int(wait) < LONGEST_WAIT


class Server:
    """Answers every request with one response."""

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self.asked = 0

    def __call__(self, _request: httpx2.Request) -> httpx2.Response:
        """Take a request as the transport does."""
        self.asked += 1
        return httpx2.Response(
            self._exchange.status, content=self._exchange.body, headers=self._exchange.headers
        )


@pytest.mark.parametrize(
    ("error", "raised", "code", "waits"),
    [
        (refused(), openai.RateLimitError, "insufficient_quota", []),
        (refused(ENDS - 2), openai.RateLimitError, "insufficient_quota", []),
        (
            refused(period="total", ends=None),
            openai.RateLimitError,
            "credit_balance_exhausted",
            [],
        ),
        (UNAVAILABLE, openai.InternalServerError, "ledger_unavailable", [1.0, 1.0]),
        (NOT_PRICED, openai.BadRequestError, "model_not_priced", []),
    ],
)
async def test_the_real_client_raises_and_tries_again_as_told(
    error: Error,
    raised: type[openai.APIStatusError],
    code: str,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    server = Server(await Exchange(http_scope()).run(error))
    with (
        httpx2.Client(transport=httpx2.MockTransport(server)) as http,
        openai.OpenAI(api_key="k", base_url="http://veneer.test/v1", http_client=http) as client,
        pytest.raises(raised) as caught,
    ):
        client.chat.completions.create(model="m", messages=[])

    assert type(caught.value) is raised
    assert (caught.value.code, caught.value.param) == (code, error.param)
    assert error.message in str(caught.value)
    assert slept == waits
    assert server.asked == 1 + len(waits)


async def test_no_refusal_is_to_be_tried_again() -> None:
    for error in (refused(), refused(ENDS - 2), refused(period="total", ends=None)):
        exchange = await Exchange(http_scope()).run(error)
        assert exchange.status == 429
        assert exchange.json()["error"]["type"] == "insufficient_quota"
        assert exchange.header("x-should-retry") == "false"
