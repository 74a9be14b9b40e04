"""Members of JSON and of models."""

from openai.types.chat import ChatCompletion

from veneer.sdk.members import member, tellers, text


def test_json_and_models_have_members_alike() -> None:
    model = ChatCompletion.construct(id="a", unheard_of=[1])
    assert member(model, "unheard_of") == member({"unheard_of": [1]}, "unheard_of") == [1]
    assert member(model, "nothing") is member({}, "nothing") is member(None, "nothing") is None


def test_a_text_is_a_string_with_something_in_it() -> None:
    assert text({"a": "b"}, "a") == "b"
    others: list[object] = ["", 1, None, []]
    assert [text({"a": other}, "a") for other in others] == [None] * 4


def test_what_may_tell_of_a_call_is_the_answer_and_what_it_holds() -> None:
    assert list(tellers({"response": 1})) == [{"response": 1}, 1]
    assert list(tellers({"chunk": 2})) == [{"chunk": 2}, 2]
    assert list(tellers(None)) == [None]
