"""The models on offer."""

import pytest

from veneer.demo import DemoModel, DemoServer

from .drive import call, http_scope, server


@pytest.mark.parametrize("path", ["/v1/models", "/models"])
async def test_the_models_are_listed(path: str) -> None:
    listed = (await call(http_scope("GET", path))).json
    assert listed["object"] == "list"
    assert [model["id"] for model in listed["data"]] == [
        "veneer-demo-1",
        "veneer-demo-embed",
        "veneer-demo-moderation",
    ]
    assert {model["object"] for model in listed["data"]} == {"model"}


async def test_a_model_is_retrieved_by_its_id_which_may_hold_a_slash() -> None:
    app = server(models=[DemoModel("house/one", created=5)])
    answered = await call(http_scope("GET", "/v1/models/house/one"), app=app)
    assert answered.json == {
        "id": "house/one",
        "object": "model",
        "created": 5,
        "owned_by": "veneer",
    }


async def test_an_unknown_model_is_not_found() -> None:
    answered = await call(http_scope("GET", "/v1/models/none"))
    assert (answered.status, answered.error["code"]) == (404, "model_not_found")


@pytest.mark.parametrize("models", [[], [DemoModel("a"), DemoModel("a", "embedding")]])
def test_no_models_and_equal_ids_are_refused(models: list[DemoModel]) -> None:
    with pytest.raises(ValueError, match="models"):
        DemoServer(models=models)
