"""Operations: one reading of a path decides what it asks for and where it goes."""

import re
from typing import Any
from urllib.parse import quote, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from starlette.types import Scope

from tests.asgi import http_scope
from veneer import facts
from veneer.dialects import Kind
from veneer.errors import Error
from veneer.operations import FIXED, GROUPS, NAMES, Allowed, Endpoint, Operation, endpoint_of


def scope_of(raw: str, method: str = "POST", root_path: str = "", **more: Any) -> Scope:
    """Return the scope that uvicorn makes of a request line."""
    path, _, query = raw.partition("?")
    return http_scope(
        method,
        unquote(path),
        raw_path=path.encode(),
        query_string=query.encode(),
        root_path=root_path,
        **more,
    )


def read(raw: str, **more: Any) -> tuple[str, bytes] | None:
    endpoint = endpoint_of(scope_of(raw, **more))
    return None if endpoint is None else (endpoint.operation.name, endpoint.path)


def refused(judged: Endpoint | Error) -> Kind:
    assert isinstance(judged, Error)
    return judged.kind


@pytest.mark.parametrize(("path", "operation"), FIXED.items())
def test_fixed_paths_are_their_operations(path: str, operation: Operation) -> None:
    assert read(f"/v1/{path}") == (operation.name, path.encode())
    assert read(f"/{path}") == (operation.name, path.encode())


def test_the_operations_served_by_default_are_those_we_account_for() -> None:
    assert Allowed().names == {
        "chat.completions",
        "completions",
        "responses",
        "embeddings",
        "moderations",
        "images.generations",
        "images.edits",
        "images.variations",
        "audio.speech",
        "audio.transcriptions",
        "audio.translations",
        "models",
    }


@pytest.mark.parametrize(
    ("raw", "root"),
    [
        ("/v1/chat/completions", ""),
        ("/chat/completions", ""),
        ("/v1/chat/completions", "/v1"),
        ("/api/v1/chat/completions", "/api"),
        ("/api/chat/completions", "/api"),
        ("/v1/chat/completions", "/elsewhere"),
        ("/v1/chat/completions?api-version=1", ""),
        ("/v1/chat/completions/", ""),
        ("/v1/%63hat/completions", ""),
        ("/v1/chat%2Fcompletions", ""),
    ],
)
def test_a_base_is_taken_off(raw: str, root: str) -> None:
    assert read(raw, root_path=root) == ("chat.completions", b"chat/completions")


@pytest.mark.parametrize(
    "raw",
    [
        "/",
        "",
        "*",
        "//chat/completions",
        "/v1//chat/completions",
        "/v1/v1/chat/completions",
        "/v1/../v1/chat/completions",
        "/v1/./chat/completions",
        "/v1/%2e%2e/files",
        "/v1/chat//completions",
        "/v1/chat/completions//",
        "/v1chat/completions",
        "/v2/chat/completions",
        "/V1/chat/completions",
        "/v1/Chat/Completions",
        "/v1/chat",
        "/v1/chatty",
        "/v1/modelsx",
        "/v1\\chat\\completions",
        "/v1/models/..",
        "/v1/models/../files",
        "/v1/models/%2e%2e/files",
        "/v1/models/%2E%2E%2Ffiles",
        "/v1/models/..%2ffiles",
        "/v1/models/a/%2e",
        "/v1/models/a//b",
        "/v1/models/a%2F%2Fb",
        "/v1/models/a/",
        "/v1/models//",
        "/v1/models/%5c..%5cfiles",
        "/v1/models/..%5cfiles",
        "/v1/models/%252e%252e%252ffiles",
        "/v1/models/%25252e%25252e%25252ffiles",
        "/v1/models/..;/files",
        "/v1/models/..;a=b/files",
        "/v1/models/;/files",
        "/v1/models/a%00b",
        "/v1/models/a%2500b",
        "/v1/models/a%0d%0ab",
        "/v1/models/a%C2%A0b",
    ],
)
def test_some_paths_are_no_operations(raw: str) -> None:
    assert read(raw) is None
    assert refused(Allowed(NAMES).judge(scope_of(raw))) is Kind.UNKNOWN_URL


def test_a_root_path_ends_at_a_slash() -> None:
    assert read("/apichat/completions", root_path="/api") is None
    assert read("/api", root_path="/api") is None


@pytest.mark.parametrize(
    "tail",
    [
        "gpt-4o",
        "meta-llama%2FLlama-3",
        "meta-llama%2fLlama-3",
        "meta-llama/Llama-3",
        "ft:gpt-4o:org::id",
        "a%3Fb",
        "a%23b",
        "a%25b",
        "%E2%82%AC",
        "a+b",
        "a%20b",
        "%6Dodel",
        "%FF",
        "...",
        ".a",
        "models/models/x",
    ],
)
@pytest.mark.parametrize("base", ["/v1/models/", "/models/", "/models/v1/models/"])
def test_a_path_keeps_the_bytes_that_its_client_wrote(tail: str, base: str) -> None:
    root = "/models" if base.count("models") > 1 else ""
    assert read(base + tail, root_path=root) == ("models", b"models/" + tail.encode())


def test_a_raw_path_may_carry_its_query() -> None:
    scope = http_scope("GET", "/v1/models/a/b", raw_path=b"/v1/models/a%2Fb?x=/models/c")
    assert endpoint_of(scope) == Endpoint(GROUPS["models/"], b"models/a%2Fb")


@pytest.mark.parametrize(
    "raw_path",
    [None, b"", b"/other", b"/v1/models/c/d", b"/v1/models/a/b\xff", b"/v1/models/a/b c"],
)
def test_without_a_raw_path_that_fits_the_path_is_encoded_again(raw_path: bytes | None) -> None:
    scope = http_scope("GET", "/v1/models/a/b c?#%ü", raw_path=raw_path)
    expected = b"models/a/b%20c%3F%23%25%C3%BC"
    assert endpoint_of(scope) == Endpoint(GROUPS["models/"], expected)
    del scope["raw_path"]
    assert endpoint_of(scope) == Endpoint(GROUPS["models/"], expected)


PIECES = st.sampled_from(
    ["/", "//", ".", "..", "%2e", "%2F", "%5c", "\\", "%25", "2e", "2f", ";", "a", "v1", "models",
     "files", "chat", "completions", "?", "%00", "%0a", "é", "%FF", "%C3"]
)  # fmt: skip


@given(
    raw=st.lists(PIECES, max_size=12).map("".join) | st.text(max_size=30),
    base=st.sampled_from(["/v1/models/", "/v1/files/", "/files/", "/", "/v1/", ""]),
    keeps_raw=st.booleans(),
)
@example(raw="a/%252e%252e/b", base="/v1/files/", keeps_raw=True)
@example(raw="..%5c..", base="/v1/files/", keeps_raw=True)
def test_whatever_the_path_what_goes_on_stays_below_the_base(
    raw: str,
    base: str,
    keeps_raw: bool,  # noqa: FBT001 - hypothesis passes it by name
) -> None:
    path = (base + raw).partition("?")[0]
    raw_path = path.encode("utf-8", "surrogatepass") if keeps_raw else None
    scope = http_scope("GET", unquote(path), raw_path=raw_path)
    judged = Allowed(NAMES).judge(scope)
    if isinstance(judged, Error):
        return
    forwarded = judged.path.decode("ascii")
    assert unquote(forwarded).rstrip("/") == unquote(path).removeprefix("/").removeprefix(
        "v1/"
    ).rstrip("/")
    while (decoded := unquote(forwarded)) != forwarded:
        forwarded = decoded
    segments = forwarded.replace("\\", "/").split("/")
    assert not {"", ".", ".."} & {segment.partition(";")[0] for segment in segments}
    assert not set(judged.path) & set(b" ?#\r\n\0\\")
    first = segments[0]
    assert any(known.split("/")[0] == first for known in (*FIXED, *GROUPS))


@pytest.mark.parametrize("prefix", GROUPS)
def test_what_cannot_be_accounted_for_is_not_served_until_named(prefix: str) -> None:
    operation = GROUPS[prefix]
    scope = scope_of(f"/v1/{prefix}abc", "GET")
    if operation.default:
        assert isinstance(Allowed().judge(scope), Endpoint)
        return
    error = Allowed().judge(scope)
    assert isinstance(error, Error)
    assert error.kind is Kind.NOT_SERVED
    assert operation.name in error.message
    assert isinstance(Allowed([operation.name]).judge(scope), Endpoint)


def test_a_group_is_served_at_its_own_path_too() -> None:
    endpoint = Allowed(["files"]).judge(scope_of("/v1/files"))
    assert isinstance(endpoint, Endpoint)
    assert endpoint.path == b"files"
    assert Allowed(["files"]).judge(scope_of("/v1/files/")) == endpoint


@pytest.mark.parametrize("path", ["chat/completions", "responses"])
def test_a_slash_at_the_end_makes_no_other_operation(path: str) -> None:
    """Else a call could pass unread, as one of those that refer to what is stored."""
    allowed = Allowed(["chat.completions.stored", "responses.stored"])
    endpoint = allowed.judge(scope_of(f"/v1/{path}/"))
    assert isinstance(endpoint, Endpoint)
    assert endpoint == allowed.judge(scope_of(f"/v1/{path}"))
    assert endpoint.operation is FIXED[path]


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/v1/chat/completions", b"POST"),
        ("OPTIONS", "/v1/chat/completions", b"POST"),
        ("POST", "/v1/models", b"GET, HEAD"),
        ("DELETE", "/v1/models/gpt", b"GET, HEAD"),
        ("POST", "/v1/models/", b"GET, HEAD"),
        ("HEAD", "/v1/embeddings", b"POST"),
    ],
)
def test_a_wrong_method_is_told_the_right_ones(method: str, path: str, allow: bytes) -> None:
    error = Allowed().judge(scope_of(path, method))
    assert isinstance(error, Error)
    assert error.kind is Kind.METHOD_NOT_ALLOWED
    assert error.headers == ((b"allow", allow),)


@pytest.mark.parametrize("path", ["/v1/files/a", "/v1/rerank", "/v1/models"])
def test_no_path_answers_trace_which_would_show_the_upstreams_key(path: str) -> None:
    error = Allowed([*NAMES, "/rerank"]).judge(scope_of(path, "TRACE"))
    assert isinstance(error, Error)
    assert error.kind is Kind.METHOD_NOT_ALLOWED
    [(name, allowed)] = error.headers
    assert (name, b"GET" in allowed, b"TRACE" in allowed) == (b"allow", True, False)


def test_models_answer_head() -> None:
    assert isinstance(Allowed().judge(scope_of("/v1/models", "HEAD")), Endpoint)


@pytest.mark.parametrize("name", ["/rerank", "/v1/rerank"])
def test_an_operator_may_allow_a_path_of_the_upstreams_own(name: str) -> None:
    allowed = Allowed([name])
    for raw in ("/v1/rerank", "/rerank", "/v1/rerank?x=1"):
        endpoint = allowed.judge(scope_of(raw, "PUT"))
        assert isinstance(endpoint, Endpoint)
        assert (endpoint.operation.name, endpoint.path) == (name, b"rerank")
    for raw in ("/v1/rerank/", "/v1/rerank/x", "/v1/rerankx", "/v1/../rerank", "//rerank"):
        assert refused(allowed.judge(scope_of(raw))) is Kind.UNKNOWN_URL
    assert refused(Allowed().judge(scope_of("/v1/rerank"))) is Kind.UNKNOWN_URL


def test_a_path_that_was_judged_above_passes_below() -> None:
    allowed = Allowed(["/rerank"])
    scope = scope_of("/v1/rerank")
    endpoint = allowed.judge(scope)
    assert isinstance(endpoint, Endpoint)
    facts.put(scope, endpoint)
    assert allowed.judge(scope) is endpoint
    assert refused(Allowed().judge(scope)) is Kind.NOT_SERVED


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("file", "'file' is no operation. Did you mean 'files'?"),
        ("xyzzy", "Name one of assistants,"),
        ("", "'' is no operation."),
        ("/", "'/' is no operation."),
        ("/v1/", "'/v1/' is no operation."),
        ("//x", "'//x' is no operation."),
        ("/a/../b", "'/a/../b' is no operation."),
        ("/a%2Fb", "'/a%2Fb' is no operation."),
        ("rerank", "or a path such as '/rerank'."),
        ("/files", "'/files' belongs to an operation: name 'files'."),
        ("/v1/responses/x", "'/v1/responses/x' belongs to an operation: name 'responses.stored'."),
    ],
)
def test_a_name_that_is_no_operation_is_refused(name: str, sentence: str) -> None:
    with pytest.raises(ValueError, match="operation") as caught:
        Allowed([name])
    assert sentence in str(caught.value)


def test_an_unknown_path_is_shown_safely() -> None:
    error = Allowed().judge(http_scope("GET", '/<b>"\n\udc80' + "x" * 1000))
    assert isinstance(error, Error)
    assert error.message.startswith("Unknown request URL: GET /%3Cb%3E%22%0A")
    assert error.message.isprintable()
    assert len(error.message) < 300


def test_stored_responses_are_a_matter_of_their_own() -> None:
    assert not Allowed().stored
    assert Allowed(["responses.stored"]).stored


@given(st.text(max_size=20))
def test_no_path_is_too_odd_to_be_judged(path: str) -> None:
    judged = Allowed().judge(
        http_scope("GET", path, raw_path=quote(path, errors="replace").encode())
    )
    assert isinstance(judged, (Endpoint, Error))


def test_what_is_denied_is_not_served_and_the_error_says_what_is() -> None:
    allowed = Allowed(["files"], ["images", "audio.speech"])
    for path in ("/v1/images/generations", "/v1/images/edits", "/v1/audio/speech"):
        error = allowed.judge(scope_of(path))
        assert isinstance(error, Error)
        assert error.kind is Kind.NOT_SERVED
        assert "What is: audio.transcriptions, audio.translations, chat.comp" in error.message
    for path in ("/v1/audio/transcriptions", "/v1/files", "/v1/chat/completions"):
        assert isinstance(allowed.judge(scope_of(path)), Endpoint)


def test_an_operation_is_denied_without_what_is_stored_of_it() -> None:
    allowed = Allowed(["responses.stored"], ["responses"])
    assert "responses" not in allowed.names
    assert allowed.stored


@pytest.mark.parametrize(
    ("allow", "deny", "sentence"),
    [
        ([], ["image"], "'image' is no operation."),
        ([], ["imagess.edits"], "Did you mean 'images.edits'?"),
        (["images.edits"], ["images"], "'images.edits' is both allowed and denied."),
    ],
)
def test_what_cannot_be_denied_is_refused(allow: list[str], deny: list[str], sentence: str) -> None:
    with pytest.raises(ValueError, match=re.escape(sentence)):
        Allowed(allow, deny)
