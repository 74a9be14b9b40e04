"""POST /v1/moderations."""

from veneer.demo import DemoModel

from .drive import post, server


async def test_a_plain_word_is_flagged_in_its_category() -> None:
    answered = await post("/v1/moderations", {"input": ["Kill them!", "skill"]})
    assert answered.json["model"] == "veneer-demo-moderation"
    assert answered.json["id"].startswith("modr-")
    bad, good = answered.json["results"]
    assert bad["flagged"]
    assert [name for name, found in bad["categories"].items() if found] == ["violence"]
    assert bad["category_scores"]["violence"] > 0.5 > bad["category_scores"]["hate"]
    assert bad["category_applied_input_types"]["violence"] == ["text"]
    assert not good["flagged"]


async def test_a_text_alone_has_one_result() -> None:
    answered = await post("/v1/moderations", {"input": "hi", "model": "veneer-demo-moderation"})
    assert len(answered.json["results"]) == 1


async def test_content_parts_are_one_input() -> None:
    parts = [{"type": "text", "text": "hi"}, {"type": "text", "text": "murder"}]
    [result] = (await post("/v1/moderations", {"input": parts})).json["results"]
    assert result["flagged"]


async def test_texts_and_parts_do_not_mix() -> None:
    mixed = ["hi", {"type": "text", "text": "ho"}]
    answered = await post("/v1/moderations", {"input": mixed})
    assert (answered.status, answered.error["param"]) == (400, "input")


async def test_a_server_without_a_moderation_model_asks_for_one() -> None:
    app = server(models=[DemoModel("chatty")])
    assert (await post("/v1/moderations", {"input": "hi"}, app)).error["param"] == "model"
    named = await post("/v1/moderations", {"input": "hi", "model": "chatty"}, app)
    assert named.status == 404
