"""Which endpoint answers a request."""

import pytest

from .drive import CHAT, call, http_scope, post

CHAT_BODY = {"model": CHAT, "messages": [{"role": "user", "content": "hi"}]}


@pytest.mark.parametrize(
    ("path", "root_path"),
    [
        ("/v1/chat/completions", ""),
        ("/chat/completions", ""),
        ("/api/v1/chat/completions", "/api"),
        ("/api/chat/completions", "/api/"),
        ("/v1/chat/completions", "/v1"),
        # Some servers leave the root path out of the path.
        ("/v1/chat/completions", "/api"),
    ],
)
async def test_the_root_path_and_the_version_may_precede(path: str, root_path: str) -> None:
    assert (await post(path, CHAT_BODY, root_path=root_path)).status == 200


@pytest.mark.parametrize("path", ["/", "/v1", "/v2/models", "/v1/chat", "/v1/responses/resp_1"])
async def test_an_unknown_path_is_not_found(path: str) -> None:
    answered = await call(http_scope("GET", path))
    assert answered.status == 404
    assert answered.error["message"] == f"Invalid URL (GET {path})"


@pytest.mark.parametrize("path", ["/v1/images/generations", "/audio/speech"])
async def test_what_the_demo_lacks_is_said(path: str) -> None:
    answered = await post(path, {})
    assert (answered.status, answered.error["code"]) == (404, "unsupported_endpoint")
    assert "no images" in answered.error["message"] or "no audio" in answered.error["message"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [("GET", "/v1/chat/completions", "POST"), ("DELETE", "/v1/models/a", "GET, HEAD")],
)
async def test_a_wrong_method_is_told_the_right_one(method: str, path: str, allowed: str) -> None:
    answered = await call(http_scope(method, path))
    assert (answered.status, answered.headers["allow"]) == (405, allowed)
    assert answered.error["code"] == "method_not_supported"


async def test_head_has_the_headers_of_get_alone() -> None:
    got, headed = [await call(http_scope(method, "/v1/models")) for method in ("GET", "HEAD")]
    assert headed.body == b""
    assert headed.headers == got.headers
