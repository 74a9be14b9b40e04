"""What is served, as it is configured: by the table, else by the dialect."""

from typing import Any

import pytest

from tests.asgi import Exchange, Responder, http_scope, json_request
from veneer import ConfigurationError
from veneer.config import build, parse

IMAGES = "/v1/images/generations"


async def ask(path: str, dialect: str = "aurous", operations: Any = None) -> Exchange:
    document = {"dialect": {"name": dialect}, "operations": operations or {}}
    stack = build(parse(document), Responder(b"{}"))
    async with stack.lifespan():
        return await json_request({"model": "m", "prompt": "a"}, path).run(stack)


@pytest.mark.parametrize("path", [IMAGES, "/v1/images/edits", "/v1/audio/speech"])
async def test_a_dialect_leaves_out_what_it_has_not(path: str) -> None:
    assert (await ask(path)).status == 404
    assert (await ask(path, "openai")).status == 200
    assert (await ask(path, "auriko")).status == 200


async def test_what_is_allowed_is_served_all_the_same() -> None:
    allowed = {"allow": ["images.generations"]}
    assert (await ask(IMAGES, operations=allowed)).status == 200
    assert (await ask("/v1/images/edits", operations=allowed)).status == 404


async def test_what_the_table_denies_stands_in_place_of_it() -> None:
    assert (await ask(IMAGES, operations={"deny": []})).status == 200
    denied = await ask("/v1/embeddings", "openai", {"deny": ["embeddings"]})
    assert denied.json()["error"]["code"] == "operation_not_served"
    assert (await ask(IMAGES, operations={"deny": ["embeddings"]})).status == 200


@pytest.mark.parametrize(
    ("operations", "sentence"),
    [
        ({"deny": ["image"]}, r"\[operations\] 'image' is no operation."),
        (
            {"deny": ["images"], "allow": ["images.edits"]},
            r"\[operations\] 'images.edits' is both allowed and denied.",
        ),
    ],
)
def test_what_cannot_be_is_refused(operations: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build(parse({"operations": operations}), Responder())


async def test_an_operator_may_let_an_upstream_say_who_one_is() -> None:
    document = {
        "auth": {"keys": [{"id": "a", "secret": "env:VENEER_TEST_KEY"}]},
        "operations": {"allow": ["/me"]},
        "log": {"enabled": False},
    }
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VENEER_TEST_KEY", "sk-test-0123456789")
        stack = build(parse(document), Responder(b"theirs"))
    key = (b"authorization", b"Bearer sk-test-0123456789")
    async with stack.lifespan():
        answer = await Exchange(http_scope("GET", "/v1/me", [key])).run(stack)
    assert answer.body == b"theirs"
