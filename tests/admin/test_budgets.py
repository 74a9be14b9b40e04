"""The admin API of budgets: what is shown and set, and what is refused."""

import logging
from typing import Any

import pytest

from tests.admin.asking import ADMIN, FULL, ask, error_of
from veneer.admin import AdminBudgets
from veneer.books.memory import MemoryBooks
from veneer.budgets.policy import BudgetPolicy
from veneer.facts import Usage
from veneer.ledger.entry import Exhausted, Hold, Settlement
from veneer.ledger.ledger import LedgerUnavailableError
from veneer.ledger.memory import MemoryLedger
from veneer.prices.money import DOLLAR

# Tuesday, the 14th of November 2023, 22:13:20 UTC.
NOW = 1_700_000_000.0
MONTH = BudgetPolicy("20", name="month")
DAY = BudgetPolicy(None, name="a day/ours", period="day", partition=["key", "model"])
TOTAL = BudgetPolicy("5", name="total", period="total", partition="all")
POLICIES = (MONTH, DAY, TOTAL)


class Away(MemoryBooks):
    """Books that cannot be read."""

    async def _nothing(self, *given: Any, **options: Any) -> Any:
        raise LedgerUnavailableError(f"password {given} {options}")

    usage = budgets = set_limit = clear_limit = _nothing


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger(clock=lambda: NOW)


@pytest.fixture
def api(ledger: MemoryLedger) -> AdminBudgets:
    return api_on(MemoryBooks(ledger))


def api_on(books: MemoryBooks) -> AdminBudgets:
    return AdminBudgets(books, POLICIES, clock=lambda: NOW)


def hold(call: str = "call_1", team: str = "acme", amount: int = DOLLAR // 2) -> Hold:
    partitions = [("team", team), ("key", "key_1", "model", "m"), ("all", "")]
    accounts = [
        account
        for policy, partition in zip(POLICIES, partitions, strict=True)
        for account in policy.accounts_for([partition], None, NOW)
    ]
    return Hold(call=call, amount=amount, accounts=tuple(accounts), at=NOW, team=team, key="key_1")


async def spend(ledger: MemoryLedger, call: str, total: int, team: str = "acme") -> None:
    await ledger.hold(hold(call, team))
    usage = Usage(input_tokens=5, output_tokens=3, total_tokens=8)
    await ledger.settle(Settlement(call=call, state="completed", at=NOW, total=total, usage=usage))


async def test_all_accounts_are_listed_as_they_stand(
    api: AdminBudgets, ledger: MemoryLedger
) -> None:
    await spend(ledger, "call_1", DOLLAR // 4)
    await ledger.hold(hold("call_2"))
    exchange = await ask(api, "GET", "/budgets")
    assert exchange.header("cache-control") == "no-store"
    document = exchange.json()
    assert (document["object"], document["has_more"]) == ("list", False)
    by_name = {budget["name"]: budget for budget in document["data"]}
    assert by_name["month"] == {
        "object": "budget",
        "name": "month",
        "partition": {"team": "acme"},
        "period": "month",
        "starts_at": "2023-11-01T00:00:00Z",
        "ends_at": "2023-12-01T00:00:00Z",
        "limit": "20",
        "limit_set": False,
        "spent": "0.25",
        "held": "0.5",
        "remaining": "19.25",
    }
    day, total = by_name["a day/ours"], by_name["total"]
    assert (day["partition"], day["limit"]) == ({"key": "key_1", "model": "m"}, "unlimited")
    assert day["remaining"] is None
    assert (total["partition"], total["starts_at"], total["ends_at"]) == ({"all": ""}, None, None)
    page = (await ask(api, "GET", "/budgets", query=b"limit=1")).json()
    assert (len(page["data"]), page["has_more"]) == (1, True)


async def test_a_limit_that_is_set_counts_from_the_next_call_and_is_taken_back(
    api: AdminBudgets, ledger: MemoryLedger
) -> None:
    await ledger.hold(hold("call_1"))
    body = b'{"partition": {"team": "acme"}, "limit": "0.75"}'
    exchange = await ask(api, "PUT", "/budgets/month", body)
    assert (exchange.status, exchange.json()) == (
        200,
        {
            "object": "budget.limit",
            "name": "month",
            "partition": {"team": "acme"},
            "limit": "0.75",
            "limit_set": True,
        },
    )
    assert isinstance(await ledger.hold(hold("call_2")), Exhausted)
    assert not isinstance(await ledger.hold(hold("call_3", "other")), Exhausted)
    cleared = await ask(api, "DELETE", "/budgets/month", query=b"team=acme")
    assert (cleared.status, cleared.json()["limit"]) == (200, "20")
    assert cleared.json()["limit_set"] is False
    assert not isinstance(await ledger.hold(hold("call_4")), Exhausted)
    again = await ask(api, "DELETE", "/budgets/month", query=b"team=acme")
    assert error_of(again) == (404, "not_found", None)


@pytest.mark.parametrize(
    ("path", "body", "partition"),
    [
        ("/budgets/total", b'{"limit": "unlimited"}', ("all", "")),
        ("/budgets/total", b'{"limit": "1", "partition": {"all": ""}}', ("all", "")),
        (
            "/budgets/a day/ours",
            b'{"limit": "0", "partition": {"model": "m", "key": "k"}}',
            ("key", "k", "model", "m"),
        ),
        ("/budgets/month", b'{"limit": "1 USD", "partition": {"key": "k"}}', ("key", "k")),
        (
            "/budgets/month",
            b'{"limit": "1", "partition": {"peer": "10.0.0.7"}}',
            ("peer", "0a000007"),
        ),
    ],
)
async def test_whose_limit_it_is_is_said_as_it_is_shown(
    api: AdminBudgets, ledger: MemoryLedger, path: str, body: bytes, partition: tuple[str, ...]
) -> None:
    exchange = await ask(api, "PUT", path, body)
    assert exchange.status == 200
    [limit] = ledger.limits()
    assert limit.partition == partition
    [listed] = (await ask(api, "GET", "/budgets")).json()["data"]
    told = ("name", "partition", "limit", "limit_set")
    assert {name: listed[name] for name in told} == {name: exchange.json()[name] for name in told}
    query = "&".join(f"{name}={value}" for name, value in listed["partition"].items())
    assert (await ask(api, "DELETE", path, query=query.encode())).status == 200


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"{}", "invalid_value", "limit"),
        (b'{"limit": 50}', "invalid_type", "limit"),
        (b'{"limit": "-1", "partition": {"team": "a"}}', "invalid_value", "limit"),
        (b'{"limit": "lots", "partition": {"team": "a"}}', "invalid_value", "limit"),
        (b'{"limit": "1e3", "partition": {"team": "a"}}', "invalid_value", "limit"),
        (b'{"limit": "1"}', "invalid_value", "partition"),
        (b'{"limit": "1", "partition": {"user": "u"}}', "invalid_value", "partition"),
        (b'{"limit": "1", "partition": {"x": "u"}}', "invalid_value", "partition"),
        (b'{"limit": "1", "partition": {"team": 1}}', "invalid_type", "partition"),
        (b'{"limit": "1", "partition": ["team"]}', "invalid_type", "partition"),
        (b'{"limit": "1", "partition": {"team": "a\\u0000"}}', "invalid_value", "partition"),
        (
            b'{"limit": "1", "partition": {"team": "%b"}}' % (b"a" * 600),
            "invalid_value",
            "partition",
        ),
        (b'{"limit": "1", "period": "day"}', "unsupported_parameter", "period"),
        (b'{"limit": "1", "limit": "2"}', "invalid_json", "limit"),
        (b"[]", "invalid_json", None),
    ],
)
async def test_a_limit_that_cannot_be_is_refused_and_not_set(
    api: AdminBudgets, ledger: MemoryLedger, body: bytes, code: str, param: str | None
) -> None:
    exchange = await ask(api, "PUT", "/budgets/month", body)
    assert error_of(exchange) == (400, code, param)
    assert len(exchange.json()["error"]["message"]) < 700
    assert ledger.limits() == []


@pytest.mark.parametrize("name", ["week", "", "month/", "MONTH", "\ud800", "x" * 999])
async def test_a_budget_that_is_not_there_is_a_404(api: AdminBudgets, name: str) -> None:
    body = b'{"limit": "1", "partition": {"team": "a"}}'
    for method in ("PUT", "DELETE"):
        assert error_of(await ask(api, method, f"/budgets/{name}", body))[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("query", "code", "param"),
    [
        (b"", "invalid_value", "partition"),
        (b"user=u", "invalid_value", "partition"),
        (b"limit=5", "unsupported_parameter", "limit"),
        (b"team=a&team=b", "invalid_value", "team"),
        (b"team=%ff", "invalid_request_error", None),
    ],
)
async def test_a_limit_to_take_back_that_cannot_be_is_refused(
    api: AdminBudgets, query: bytes, code: str, param: str | None
) -> None:
    exchange = await ask(api, "DELETE", "/budgets/month", query=query)
    error = exchange.json()["error"]
    assert (exchange.status, error["code"] or error["type"], error["param"]) == (400, code, param)


async def test_calls_are_added_up(api: AdminBudgets, ledger: MemoryLedger) -> None:
    for number, team in enumerate(("acme", "acme", "blue")):
        await spend(ledger, f"call_{number}", DOLLAR // 8, team)
    document = (await ask(api, "GET", "/usage")).json()
    assert (document["object"], document["has_more"]) == ("list", False)
    assert document["data"][0] == {
        "team": "acme",
        "groups": 1,
        "calls": 2,
        "failed": 0,
        "estimated": 0,
        "abandoned": 0,
        "open": 0,
        "input_tokens": 10,
        "cached_input_tokens": 0,
        "output_tokens": 6,
        "reasoning_tokens": 0,
        "spent": "0.25",
        "held": "0",
    }
    [day] = (await ask(api, "GET", "/usage", query=b"by=day&since=2023-11-14")).json()["data"]
    assert (day["day"], day["calls"]) == ("2023-11-14", 3)
    cut = (await ask(api, "GET", "/usage", query=b"limit=1")).json()
    assert cut["has_more"] is True
    assert [line["groups"] for line in cut["data"]] == [1, 1]


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        (b"since=2023-11-14T22:13:20Z", 1),
        (b"since=2023-11-14T22:13:21Z", 0),
        (b"until=2023-11-14T22:13:20Z", 0),
        (b"until=2023-11-15", 1),
        (b"since=2023-11-14T23:13:20%2B01:00&until=2023-11-14T22:13:21Z", 1),
    ],
)
async def test_calls_of_a_time_are_added_up(
    api: AdminBudgets, ledger: MemoryLedger, query: bytes, calls: int
) -> None:
    await spend(ledger, "call_1", DOLLAR)
    data = (await ask(api, "GET", "/usage", query=query)).json()["data"]
    assert sum(line["calls"] for line in data) == calls


@pytest.mark.parametrize(
    ("query", "param"),
    [
        (b"by=model_name", "by"),
        (b"by=", "by"),
        (b"since=yesterday", "since"),
        (b"since=", "since"),
        (b"until=99999-01-01", "until"),
        (b"since=2023-11-15&until=2023-11-15", "since"),
        (b"limit=0", "limit"),
        (b"limit=1001", "limit"),
        (b"team=acme", "team"),
    ],
)
async def test_a_question_about_usage_that_cannot_be_is_refused(
    api: AdminBudgets, query: bytes, param: str
) -> None:
    status, _, named = error_of(await ask(api, "GET", "/usage", query=query))
    assert (status, named) == (400, param)


async def test_every_change_is_a_line_that_nobody_can_break(
    api: AdminBudgets, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    body = b'{"limit": "1\\n USD", "partition": {"team": "a\\nb"}}'
    await ask(api, "PUT", "/budgets/month", body)
    await ask(api, "DELETE", "/budgets/month", query=b"team=a%0Ab")
    await ask(api, "GET", "/budgets")
    by = "by root\\n in req_1"
    assert [record.message for record in caplog.records if record.name == "veneer.audit"] == [
        f"set the budget month of team=a\\nb to 1 {by}",
        f"cleared the budget month of team=a\\nb {by}",
    ]


REQUESTS = [
    ("GET", "/budgets"),
    ("GET", "/usage"),
    ("PUT", "/budgets/month"),
    ("DELETE", "/budgets/month"),
]
BODY = b'{"limit": "1", "partition": {"team": "a"}}'


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_nobody_but_an_admin_is_told_anything(
    api: AdminBudgets, ledger: MemoryLedger, method: str, path: str
) -> None:
    anonymous = await ask(api, method, path, BODY, principal=None)
    assert (anonymous.status, anonymous.header("www-authenticate")) == (401, "Bearer")
    other = await ask(api, method, path, BODY, principal=FULL)
    assert error_of(other)[:2] == (403, "missing_scope")
    assert ledger.limits() == []


@pytest.mark.parametrize(("method", "path"), REQUESTS)
async def test_while_the_ledger_is_away_the_answer_is_503(
    ledger: MemoryLedger, method: str, path: str
) -> None:
    query = b"team=a" if method == "DELETE" else b""
    exchange = await ask(api_on(Away(ledger)), method, path, BODY, query=query)
    assert error_of(exchange) == (503, "ledger_unavailable", None)
    assert exchange.header("retry-after") == "2"
    assert b"password" not in exchange.body


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("POST", "/budgets", 405),
        ("GET", "/budgets/month", 405),
        ("PUT", "/usage", 405),
        ("GET", "/usage/", 404),
        ("GET", "/budget", 404),
        ("GET", "/", 404),
        ("GET", "budgets", 404),
    ],
)
async def test_other_paths_and_methods_are_none(
    api: AdminBudgets, method: str, path: str, status: int
) -> None:
    assert (await ask(api, method, path, principal=ADMIN)).status == status


async def test_the_books_are_closed_with_the_lifespan(ledger: MemoryLedger) -> None:
    closed = []

    class Closing(MemoryBooks):
        async def aclose(self) -> None:
            closed.append(self)

    api = api_on(Closing(ledger))
    async with api.lifespan():
        assert closed == []
    assert len(closed) == 1
