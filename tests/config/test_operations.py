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


PRICING, ESTIMATE, DIRECTORY = "/v1/pricing", "/v1/embeddings/estimate", "/v1/directory/models"


async def read(path: str, dialect: Any, **tables: Any) -> Exchange:
    """Ask for a list, without a key."""
    document = {"dialect": dialect, "log": {"enabled": False}, **tables}
    stack = build(parse(document), Responder(b"theirs"))
    async with stack.lifespan():
        return await Exchange(http_scope("GET", path), [b""]).run(stack)


MODELS: Any = {"models": [{"id": "m", "kind": "embedding"}]}


async def test_a_dialect_brings_operations_of_its_own() -> None:
    aurous, auriko, openai = ({"name": name} for name in ("aurous", "auriko", "openai"))
    assert (await read(PRICING, aurous, catalog=MODELS)).json()["data"] == []
    assert (await read(PRICING, auriko, catalog=MODELS)).status == 404
    assert (await read(DIRECTORY, auriko, catalog=MODELS)).json()["models"].keys() == {"m"}
    assert (await read(DIRECTORY, aurous, catalog=MODELS)).status == 404
    assert (await read(PRICING, openai, catalog=MODELS)).status == 404
    assert (await ask(ESTIMATE)).status == 400
    assert (await ask(ESTIMATE, "openai")).status == 404


@pytest.mark.parametrize("deny", [["pricing"], ["pricing", "embeddings.estimate"]])
async def test_what_a_dialect_brings_may_be_denied(deny: list[str]) -> None:
    denied = {"deny": deny}
    found = await read(PRICING, {"name": "aurous"}, catalog=MODELS, operations=denied)
    assert found.json()["error"]["code"] == "operation_not_served"
    assert (await ask(ESTIMATE, operations=denied)).status == (404 if len(deny) > 1 else 400)


async def test_a_family_of_lists_may_be_denied() -> None:
    denied = {"deny": ["registry"]}
    for path, status in ((DIRECTORY, 200), ("/v1/registry/models", 404)):
        found = await read(path, {"name": "auriko"}, catalog=MODELS, operations=denied)
        assert found.status == status


@pytest.mark.parametrize(
    ("dialect", "sentence"),
    [
        ({"name": "openai", "team_versions": {}}, r"team_versions is set, which only 'aurous' has"),
        ({"name": "aurous", "team_versions": {"a": "1999-01-01"}}, r"\[dialect\] The team 'a' has"),
    ],
)
def test_versions_of_teams_that_cannot_be_are_refused(dialect: Any, sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        build(parse({"dialect": dialect}), Responder())
