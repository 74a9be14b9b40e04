"""The cost layer: what is charged, for what, and what is refused and how."""

from fractions import Fraction
from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope, json_request
from tests.layers.costs import BOOK, COST, HELD, NOW, TOKEN, Watched, ask, charged
from tests.layers.limits import plain
from tests.layers.probe import SSE, Script, call, upload
from tests.layers.streams import DONE, RESPONSES_USAGE, USAGE, chunk, compact, event, usage_chunk
from tests.lint import Lint
from veneer import facts
from veneer.budgets.policy import BudgetPolicy
from veneer.call import Call
from veneer.facts import Principal, Usage
from veneer.layers.cost import CostMiddleware
from veneer.layers.relay import RelayMiddleware
from veneer.ledger.entry import Hold
from veneer.operations import FIXED
from veneer.prices.book import PriceBook
from veneer.prices.credits import Credits
from veneer.prices.money import DOLLAR
from veneer.prices.price import Price
from veneer.wiring import ConfigurationError

ALL = BudgetPolicy("1", partition="all")
ME = Principal(id="me", team="red", user="ann", tags=("a", "b"))


async def test_an_answer_has_a_receipt_which_is_the_ledger_s_row() -> None:
    watched = Watched()
    answer = await ask(charged(plain(), ledger=watched, principal=ME))
    assert answer.json() == {"id": "chatcmpl-1", "usage": {**USAGE, "cost": 0.000011}}
    assert answer.header("x-cost-usd") == "0.000011"
    end = watched.end
    assert (end.state, end.total, end.estimated, end.status) == ("completed", COST, False, 200)
    assert end.parts == {"input": 5 * TOKEN, "output": 6 * TOKEN}
    assert (end.price_version, end.priced_model) == ("v1", "small")
    assert end.usage == Usage(input_tokens=5, output_tokens=3, total_tokens=8)
    assert end.first_event is not None
    assert end.latency is not None
    assert 0 < end.first_event <= end.latency
    [hold] = watched.holds
    assert hold == Hold(
        call=hold.call,
        amount=HELD,
        accounts=(),
        at=NOW,
        key="me",
        team="red",
        user="ann",
        tags=("a", "b"),
        operation="chat.completions",
        model="small",
    )
    assert hold.call.startswith("call_")


async def test_receipts_can_be_switched_off() -> None:
    watched = Watched()
    answer = await ask(charged(plain(), ledger=watched, receipts=False))
    assert answer.json()["usage"] == USAGE
    assert answer.header("x-cost-usd") is None
    assert watched.end.total == COST


async def test_without_a_ledger_receipts_are_all_there_is() -> None:
    assert (await ask(charged(plain()))).json()["usage"]["cost"] == 0.000011


async def test_what_is_cached_is_not_charged_twice() -> None:
    book = PriceBook([("small", Price(input=DOLLAR, cached_input=DOLLAR // 10, output=DOLLAR))])
    usage = {
        "prompt_tokens": 1000,
        "completion_tokens": 10,
        "total_tokens": 1010,
        "prompt_tokens_details": {"cached_tokens": 900},
    }
    watched = Watched()
    await ask(charged(plain(body=compact({"usage": usage})), ledger=watched, prices=book))
    assert watched.end.parts == {
        "cached_input": 90 * TOKEN,
        "input": 100 * TOKEN,
        "output": 10 * TOKEN,
    }
    assert sum(watched.end.parts.values()) == watched.end.total == 200 * TOKEN


@pytest.mark.parametrize(
    ("path", "usage"),
    [
        ("/v1/completions", USAGE),
        ("/v1/responses", RESPONSES_USAGE),
        ("/v1/embeddings", {"prompt_tokens": 11, "total_tokens": 11}),
        ("/v1/images/generations", RESPONSES_USAGE),
    ],
)
async def test_each_operation_is_charged(path: str, usage: dict[str, int]) -> None:
    watched = Watched()
    exchange = json_request({"model": "small", "prompt": "x"}, path)
    answer = await ask(charged(plain(body=compact({"usage": usage})), ledger=watched), exchange)
    assert watched.end.total == 11 * TOKEN
    assert answer.json()["usage"] == {**usage, "cost": 0.000011}


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v1/models"),
        ("POST", "/v1/moderations"),
        ("POST", "/v1/files"),
        ("GET", "/docs"),
        ("GET", "/v1/chat/completions"),
    ],
)
async def test_all_else_passes(method: str, path: str) -> None:
    watched = Watched()
    layer = CostMiddleware(Lint(Responder(b"{}")), prices=BOOK, ledger=watched, provides=[Usage])
    assert (await ask(layer, Exchange(http_scope(method, path)))).json() == {}
    assert (watched.holds, watched.settled) == ([], [])


async def test_a_body_that_cannot_be_read_is_answered_and_not_charged() -> None:
    watched = Watched()
    assert (await ask(charged(plain(), ledger=watched), json_request(b"{"))).status == 400
    assert watched.holds == []


@pytest.mark.parametrize("model", ["large", "SMALL", None])
async def test_a_model_without_a_price_is_refused(model: str | None) -> None:
    watched, app = Watched(), plain()
    answer = await ask(charged(app, ledger=watched), json_request({"model": model}))
    assert answer.status == 400
    assert answer.json()["error"]["code"] == "model_not_priced"
    assert (app.request, watched.holds) == (b"", [])


async def test_a_model_without_a_price_may_be_free() -> None:
    watched = Watched()
    empty = BudgetPolicy("0", partition="all")
    layer = charged(plain(), empty, ledger=watched, unpriced="free")
    answer = await ask(layer, json_request({"model": "large"}))
    assert answer.json()["usage"] == {**USAGE, "cost": 0}
    assert (watched.holds[0].amount, watched.end.total) == (0, 0)
    assert (watched.end.price_version, watched.end.priced_model) == (None, "large")
    assert watched.end.usage == Usage(input_tokens=5, output_tokens=3, total_tokens=8)
    assert not watched.end.estimated


async def test_what_is_held_is_a_bound_times_the_factor() -> None:
    watched = Watched()
    layer = charged(plain(), ledger=watched, estimator=None, factor="1.5", default_output=100)
    await ask(layer, call(messages=[{"role": "user", "content": "hi"}], n=3))
    [hold] = watched.holds
    assert hold.amount > 1.5 * 2 * 300 * TOKEN
    assert hold.amount < 1.5 * (2 * 300 + 100) * TOKEN


async def test_the_tier_and_the_tools_that_were_used_are_charged() -> None:
    price = Price(
        input=DOLLAR,
        tiers={"flex": Fraction(1, 2), "fast": Fraction(3)},
        tools={"web_search": 10**10},
    )
    items = [{"type": kind} for kind in ("web_search_call", "message", "web_search_call", "x_call")]
    body = {"model": "small-2", "service_tier": "flex", "output": items, "usage": RESPONSES_USAGE}
    last = event({"type": "response.completed", "response": body}, "response.completed")
    for stream in (False, True):
        watched = Watched()
        app = Script(last, headers=SSE) if stream else plain(body=compact(body))
        layer = charged(app, ledger=watched, prices=PriceBook([("small", price)]))
        await ask(layer, call("/v1/responses", stream=stream, input="x"))
        assert watched.end.parts == {
            "input": 5 * TOKEN // 2,
            "output": 3 * TOKEN // 2,
            "tools": 2 * 10**10,
        }
        assert watched.end.answered_model == "small-2"


async def test_the_tier_of_a_stream_is_that_of_its_last_chunk() -> None:
    book = PriceBook([("small", Price(input=DOLLAR, tiers={"flex": Fraction(1, 2)}))])
    watched = Watched()
    app = Script(
        chunk("a"), chunk(finish="stop"), usage_chunk(service_tier="flex"), DONE, headers=SSE
    )
    answer = await ask(charged(app, ledger=watched, prices=book), call(stream=True))
    assert watched.end.total == 4 * TOKEN
    assert b'"cost":0.000004}' in answer.body
    assert watched.end.answered_model == "small"


async def test_the_dearest_price_is_held() -> None:
    prices = [
        ("small", Price(input=DOLLAR, output=2 * DOLLAR, tiers={"priority": Fraction(2)})),
        ("small", Price(input=3 * DOLLAR, output=9 * DOLLAR, above=200_000)),
    ]
    watched = Watched()
    await ask(charged(plain(), ledger=watched, prices=PriceBook(prices)))
    assert watched.holds[0].amount == (3 * 10 + 9 * 20) * TOKEN + 5
    assert watched.end.total == COST


async def test_images_are_held_and_charged_by_their_number() -> None:
    watched = Watched()
    book = PriceBook([("small", Price(image=40 * 10**9))])
    layer = charged(plain(body=b'{"data":[{},{},{}]}'), ledger=watched, prices=book)
    answer = await ask(
        layer, json_request({"model": "small", "prompt": "x", "n": 3}, "/v1/images/generations")
    )
    assert watched.holds[0].amount == 3 * 40 * 10**9 + 5
    assert (watched.end.parts, watched.end.estimated) == ({"images": 3 * 40 * 10**9}, False)
    assert answer.json()["usage"]["cost"] == 0.12


async def test_an_upload_is_priced_by_its_operation_and_held_by_its_size() -> None:
    watched = Watched()
    book = PriceBook([("audio.transcriptions", Price(second=10**8))])
    body = compact({"text": "hi", "usage": {"type": "duration", "seconds": 7}})
    asked = upload()
    asked.scope["headers"][-1] = (b"content-length", b"40000")
    await ask(charged(plain(body=body), ledger=watched, prices=book), asked)
    assert watched.holds[0].amount == 10 * 10**8 + 5
    assert watched.end.parts == {"seconds": 7 * 10**8}


async def test_an_upload_without_a_length_is_held_for_the_longest() -> None:
    watched = Watched()
    book = PriceBook([("audio.transcriptions", Price(second=10**8))])
    asked = upload()
    del asked.scope["headers"][-1]
    await ask(charged(plain(body=b'{"text":"hi"}'), ledger=watched, prices=book), asked)
    assert watched.holds[0].amount == 6553 * 10**8 + 5
    assert (watched.end.total, watched.end.estimated) == (6553 * 10**8, True)


async def test_speech_costs_its_text() -> None:
    watched = Watched()
    exchange = json_request({"model": "small", "input": "x" * 98}, "/v1/audio/speech")
    app = Script(b"\0\1", headers=[(b"content-type", b"audio/mpeg")])
    answer = await ask(charged(app, ledger=watched), exchange)
    assert answer.body == b"\0\1"
    assert watched.holds[0].amount == (100 + 16) * TOKEN + 5
    assert (watched.end.total, watched.end.estimated) == (watched.holds[0].amount, True)


async def test_a_budget_with_too_little_left_refuses() -> None:
    watched, app = Watched(), plain()
    limit = BudgetPolicy("0.0001", partition="all", period="day", name="ours")
    layer = charged(app, limit, ledger=watched)
    statuses = [(await ask(layer)).status for _ in range(6)]
    assert statuses == [200] * 5 + [429], "five cost 55 of 100, and 50 more do not fit"
    app.request = b""
    refused = await ask(layer)
    assert (refused.status, app.request) == (429, b"")
    assert refused.header("x-should-retry") == "false"
    assert refused.json()["error"]["code"] == "insufficient_quota"
    assert "0.0001" not in refused.json()["error"]["message"]
    assert refused.header("x-cost-usd") is None
    assert await watched.stands(limit) == (5 * COST, 0)
    assert len(watched.settled) == 5


async def test_budgets_go_by_who_calls_and_their_own_limits() -> None:
    watched = Watched()
    policy = BudgetPolicy("0", partition="team", name="purse")
    layer = charged(plain(), policy, ledger=watched)
    poor, rich = (
        charged(plain(), policy, ledger=watched, principal=who)
        for who in (ME, Principal(id="x", team="blue", budgets={"purse": "1"}))
    )
    assert (await ask(poor)).status == 429
    assert (await ask(rich)).status == 200
    assert await watched.stands(policy, ("team", "blue")) == (COST, 0)
    with pytest.raises(ConfigurationError, match="reads Principal"):
        await ask(layer)


async def test_more_than_was_held_is_charged_and_told(caplog: pytest.LogCaptureFixture) -> None:
    usage = {"prompt_tokens": 100, "completion_tokens": 0, "total_tokens": 100}
    watched = Watched()
    await ask(charged(plain(body=compact({"usage": usage})), ALL, ledger=watched))
    assert watched.end.total == 100 * TOKEN
    assert await watched.stands(ALL) == (100 * TOKEN, 0)
    assert f"cost {100 * TOKEN - HELD} picodollars more than were held" in caplog.text


@pytest.mark.parametrize(
    "usage",
    [
        {"prompt_tokens": -5, "completion_tokens": 3},
        {"prompt_tokens": 10**18, "completion_tokens": 3},
        {"prompt_tokens": "five", "completion_tokens": 3},
        {"prompt_tokens": 2_000_000_000, "completion_tokens": 3},
        {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0},
        {},
        "lots",
        None,
    ],
)
async def test_a_usage_that_cannot_be_is_estimated(usage: Any) -> None:
    watched = Watched()
    answer = await ask(charged(plain(body=compact({"id": "a", "usage": usage})), ledger=watched))
    assert (watched.end.total, watched.end.estimated) == ((10 + 2 * 20) * TOKEN, True)
    assert answer.json()["usage"]["cost"] == 0.00005
    assert answer.json()["usage"]["cost_estimated"] is True
    assert answer.body.count(b'"usage":') == 1
    assert answer.header("x-cost-usd") == "0.00005"


async def test_an_answer_without_usage_gets_one_of_ours() -> None:
    answer = await ask(charged(plain(body=b'{"id":"a"}'), ledger=Watched()))
    assert answer.json()["usage"] == {
        "prompt_tokens": 10,
        "completion_tokens": 20,
        "total_tokens": 30,
        "cost": 0.00005,
        "cost_estimated": True,
    }


async def test_a_usage_that_contradicts_itself_is_charged_whole_and_marked() -> None:
    usage = {"prompt_tokens": 5, "completion_tokens": 3, "total_tokens": 20}
    watched = Watched()
    await ask(charged(plain(body=compact({"usage": usage})), ledger=watched))
    assert (watched.end.total, watched.end.estimated) == ((5 + 2 * 15) * TOKEN, True)


async def test_what_could_not_be_seen_is_charged_its_hold() -> None:
    watched = Watched()
    gzipped = Script(
        b"\x1f\x8b",
        headers=[(b"content-type", b"application/json"), (b"content-encoding", b"gzip")],
    )
    answer = await ask(charged(gzipped, ledger=watched))
    assert (answer.body, answer.header("x-cost-usd")) == (b"\x1f\x8b", None)
    assert (watched.end.total, watched.end.parts) == (HELD, {"held": HELD})
    assert (watched.end.estimated, watched.end.usage) == (True, None)


async def test_a_credit_is_shown_by_dialects_that_know_it_and_changes_no_amount() -> None:
    watched = Watched()
    await ask(charged(plain(), ledger=watched, credits=Credits(usd_per_credit=DOLLAR)))
    assert watched.end.total == COST


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"factor": "0.5"}, "factor is '0.5'"),
        ({"factor": "nan"}, "factor is 'nan'"),
        ({"factor": "1/0"}, "factor is '1/0'"),
        ({"factor": "101"}, "1 to 100"),
        ({"unpriced": "maybe"}, "unpriced is 'maybe'"),
        ({"on_failure": "local"}, "on_failure is 'local'"),
        ({"default_output": -1, "estimator": None}, "default_output is -1"),
        ({"trusted_proxies": ["x"]}, "x"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        charged(plain(), **options)


def test_two_budgets_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="same name"):
        charged(plain(), ALL, ALL)


def test_it_needs_somebody_below_who_tells_the_usage() -> None:
    with pytest.raises(ConfigurationError, match="reads Usage"):
        CostMiddleware(plain(), prices=BOOK)
    CostMiddleware(RelayMiddleware(plain()), prices=BOOK)


SECOND = Price(second=10**8)


@pytest.mark.parametrize(
    ("entries", "name"),
    [
        ([("whisper-1", SECOND), ("audio.transcriptions", SECOND)], "whisper-1"),
        ([("whisper*", SECOND)], "whisper-1"),
        ([("audio.transcriptions", SECOND)], "audio.transcriptions"),
        ([("*", SECOND), ("audio.transcriptions", SECOND)], "audio.transcriptions"),
        ([("whisper-1", Price(image=1)), ("audio.transcriptions", SECOND)], "audio.transcriptions"),
        ([("whisper-1", None), ("audio.transcriptions", SECOND)], "audio.transcriptions"),
    ],
)
async def test_an_upload_is_priced_by_its_model_where_that_is_known(
    entries: Any, name: str
) -> None:
    watched = Watched()
    layer = charged(plain(body=b'{"text":"hi"}'), ledger=watched, prices=PriceBook(entries))
    asked = upload()
    facts.put(asked.scope, Call(FIXED["audio/transcriptions"], "whisper-1"))
    assert (await ask(layer, asked)).status == 200
    assert watched.holds[0].model == "whisper-1"
    assert watched.end.priced_model == name
