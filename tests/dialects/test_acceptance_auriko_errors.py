"""Errors of ours, of frameworks and of model servers, as Auriko's real client takes them."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from auriko._client import Client
from auriko.errors import types
from auriko.errors.types import AurikoAPIError
from starlette.types import Receive, Scope, Send

from tests.dialects.auriko_calls import DIALECT, DOCS, client_of
from tests.dialects.served import CHAT, SAYS_HELLO, Served, served
from tests.listening import listening
from veneer.config import build, parse


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served(DIALECT) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[Client]:
    made = client_of(stack)
    with made._httpx:
        yield made


@pytest.mark.parametrize(
    ("body", "kind", "code", "param"),
    [
        ({"model": "nobody-knows-it"}, types.NotFoundError, "model_not_found", "model"),
        ({"stream": "x"}, types.BadRequestError, "invalid_parameter_value", "stream"),
        (
            {"messages": [{"role": "nobody", "content": "Hello!"}]},
            types.BadRequestError,
            "invalid_parameter_value",
            "messages[0].role",
        ),
    ],
    ids=["model", "stream", "role"],
)
def test_refusals_are_of_its_classes(
    client: Any, body: dict[str, Any], kind: type[AurikoAPIError], code: str, param: str
) -> None:
    whole = {"model": CHAT, "messages": SAYS_HELLO, **body}
    with pytest.raises(kind) as caught:
        client._request("POST", "chat/completions", body=whole)
    error: Any = caught.value
    assert (error.code, error.param) == (code, param)
    assert error.doc_url == f"{DOCS}/{code}"
    assert error.request_id.startswith("req_")
    fields = error.response_headers
    assert fields.get("x-error-type") == error.type
    assert fields.get("x-error-retryable") == "false"
    said = error.body["error"].get("suggestion")
    assert said == (
        "GET /v1/models lists the models that you may use." if param == "model" else None
    )
    # Whoever answers it, no answer that is an error tells how it was routed.
    assert "routing_metadata" not in str(error.body)


def test_a_format_that_a_model_has_not_is_refused_with_one_that_it_has() -> None:
    models = [{"id": CHAT, "capabilities": ["json_schema"]}]
    with served(DIALECT, catalog={"models": models}) as stack:
        client = client_of(stack)
        with client._httpx, pytest.raises(types.BadRequestError) as caught:
            client.chat.completions.create(
                model=CHAT, messages=SAYS_HELLO, response_format={"type": "json_object"}
            )
    error: Any = caught.value
    assert error.code == "json_mode_not_supported"
    assert "json_schema" in error.body["error"]["suggestion"]


@pytest.mark.parametrize(
    ("path", "method", "kind", "code"),
    [
        ("nowhere", "GET", types.NotFoundError, "resource_not_found"),
        ("chat/completions", "GET", types.BadRequestError, "method_not_allowed"),
        ("files", "GET", types.NotFoundError, "resource_not_found"),
        ("threads", "POST", types.NotFoundError, "resource_not_found"),
    ],
)
def test_errors_of_paths_and_methods_are_well_formed_to_it(
    client: Any, path: str, method: str, kind: type[AurikoAPIError], code: str
) -> None:
    with pytest.raises(kind) as caught:
        client._request(method, path)
    error: Any = caught.value
    assert error.code == code


def test_a_body_too_large_is_a_bad_request(client: Any) -> None:
    messages: Any = [{"role": "user", "content": "x" * 100_000}]
    with pytest.raises(types.BadRequestError) as caught:
        client.chat.completions.create(model=CHAT, messages=messages)
    assert caught.value.code == "payload_too_large"


def test_a_key_that_is_none_is_an_authentication_error(stack: Served) -> None:
    client = client_of(stack, stack.wrong_key, max_retries=2)
    with client._httpx, pytest.raises(types.AuthenticationError) as caught:
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    assert caught.value.code == "invalid_api_key"


def test_who_asks_too_often_is_told_when_to_come_again(stack: Served) -> None:
    client = client_of(stack, stack.limited_key())
    with client._httpx:
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
        with pytest.raises(types.RateLimitError) as caught:
            client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    error: Any = caught.value
    wait = int(error.retry_after_seconds)
    assert error.code == "rate_limit_exceeded"
    assert error.message == f"Rate limit exceeded. Retry after {wait} seconds."
    fields = error.response_headers
    assert fields.get("x-rate-limit-source") == "gateway"
    assert fields.get("x-error-retryable") == "true"
    assert fields.get("x-error-provider") is None


@pytest.mark.parametrize(
    ("key", "code", "exceeded"),
    [
        (Served.spent_key, "budget_exhausted", ("true", "daily", "api_key")),
        (Served.poor_key, "insufficient_quota", ("true", None, "api_key")),
    ],
)
def test_a_budget_that_is_spent_is_not_tried_again(
    stack: Served, key: str, code: str, exceeded: tuple[str | None, ...]
) -> None:
    client = client_of(stack, key, max_retries=2)
    asked: list[httpx.Request] = []
    client._httpx.event_hooks["request"].append(asked.append)
    with client._httpx, pytest.raises(types.RateLimitError) as caught:
        client.chat.completions.create(model=CHAT, messages=SAYS_HELLO)
    assert caught.value.code == code
    assert len(asked) == 1
    fields: Any = caught.value.response_headers
    names = ("x-budget-exceeded", "x-budget-exceeded-period", "x-budget-exceeded-scope")
    assert tuple(fields.get(name) for name in names) == exceeded


class Upstream:
    """A model server that answers everything with one thing."""

    def __init__(self, status: int, body: bytes, kind: bytes = b"application/json") -> None:
        self._answer = (status, body, kind)
        self.calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""
        if scope["type"] == "lifespan":
            for name in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{name}.complete"})
            return
        self.calls += 1
        status, body, kind = self._answer
        headers = [(b"content-type", kind)]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def raised_over(upstream: Upstream, *, stream: bool = False, max_retries: int = 0) -> Any:
    """Return what the client raises before a model server like this."""
    with listening(upstream) as below:
        url = f"http://127.0.0.1:{below}/v1"
        settings = {
            "dialect": {"name": "auriko"},
            "upstream": {"url": url, "name": "shaky"},
            "log": {"enabled": False},
        }
        with listening(build(parse(settings))) as port:
            root = f"http://127.0.0.1:{port}"
            client: Any = Client(api_key="x", base_url=root, max_retries=max_retries)
            with client._httpx, pytest.raises(AurikoAPIError) as caught:
                list(client.chat.completions.create(model="m", messages=SAYS_HELLO, stream=stream))
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "code", "kind"),
    [
        (400, b'{"detail":"no"}', "invalid_request", types.BadRequestError),
        (404, b"<html>", "resource_not_found", types.NotFoundError),
        (422, b'{"detail":[{"loc":["body","n"],"msg":"no"}]}', None, types.BadRequestError),
        (429, b'{"error":{"message":"Slow down."}}', "rate_limit_exceeded", types.RateLimitError),
        (500, b"", "internal_error", types.InternalServerError),
        (502, b"bad", "upstream_error", types.APIStatusError),
        (503, b"{}", "service_unavailable", types.APIStatusError),
        (504, b"{}", "upstream_timeout", types.APIStatusError),
    ],
)
def test_an_upstreams_error_names_its_provider(
    status: int, body: bytes, code: str | None, kind: type[AurikoAPIError]
) -> None:
    error = raised_over(Upstream(status, body))
    assert type(error) is kind
    assert code is None or error.code == code
    assert error.provider == "shaky"
    fields: Any = error.response_headers
    assert fields.get("x-error-provider") == "shaky"
    assert fields.get("x-error-type") == error.type
    if status in {429, 503}:
        assert error.retry_after_seconds == 1
    if status == 429:
        assert error.message == "Slow down."
        assert fields.get("x-rate-limit-source") == "provider"


def test_an_error_in_a_stream_is_of_its_classes() -> None:
    chunk = (
        b'data: {"id":"a","object":"chat.completion.chunk","created":1,"model":"m","choices":[]}'
    )
    failure = b'data: {"error":{"message":"It broke.","code":"server_error"}}'
    body = chunk + b"\n\n" + failure + b"\n\n"
    error = raised_over(Upstream(200, body, b"text/event-stream"), stream=True)
    assert type(error) is types.APIStatusError
    assert (error.code, error.message) == ("upstream_error", "It broke.")
    assert error.provider == "shaky"


@pytest.mark.parametrize(
    ("status", "body", "calls"),
    [
        (404, b'{"detail":"Not Found"}', 1),
        (422, b"no", 1),
        (500, b"", 1),
        (429, b"{}", 3),
        (502, b"bad", 3),
        (503, b"", 3),
    ],
)
def test_only_what_may_pass_is_tried_again(
    monkeypatch: pytest.MonkeyPatch, status: int, body: bytes, calls: int
) -> None:
    """A body that it took for malformed it would try again, whatever the status."""
    monkeypatch.setattr(Client, "_calculate_retry_delay", lambda *_given, **_more: 0.0)
    upstream = Upstream(status, body)
    error = raised_over(upstream, max_retries=2)
    assert upstream.calls == calls
    assert error.response_headers.get("x-error-retryable") == str(calls > 1).lower()
