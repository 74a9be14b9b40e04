"""What is stored upstream is out of reach, however a Responses call names it."""

from typing import Any

import pytest

from tests.calls import call_of, refused
from veneer.call import Call
from veneer.dialects import Kind
from veneer.members import ResponsesMembers, read_members
from veneer.stored import MAX_ITEM_MEMBERS, MAX_ITEMS, refuse_stored

DEEP = 100_000


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"background": True}, "background"),
        ({"background": "yes"}, "background"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": ["x", {"role": "user"}, {"id": "msg_1"}]}, "input[2]"),
        ({"input": [{"type": None, "id": "msg_1"}]}, "input[0]"),
        (b'{"input":[{"type":"item\\u005freference","id":"a"}]}', "input[0]"),
        (b'{"input":[{"\\u0069d":"a"}]}', "input[0]"),
        (b'{"input":[{"typ\\u0065":"item_reference"}]}', "input[0]"),
    ],
)
async def test_what_is_stored_upstream_is_out_of_reach(body: Any, param: str) -> None:
    error = await refused(body, "/v1/responses")
    assert (error.kind, error.param) == (Kind.UNSUPPORTED_PARAMETER, param)
    assert isinstance(await call_of(body, "/v1/responses", stored=True), Call)
    assert isinstance(await call_of(body, "/v1/chat/completions"), Call)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"input":"x","input":[{"id":"msg_1"}]}', "input"),
        (b'{"input":[{"id":"msg_1"}],"input":"x"}', "input"),
        (b'{"inp\\u0075t":"x","input":"y"}', "input"),
        (b'{"background":true,"background":false}', "background"),
        (b'{"input":[{"type":"item_reference","id":"a","type":"message"}]}', "type"),
        (b'{"input":[{"id":"a","role":"user","role":null}]}', "role"),
    ],
)
async def test_no_reference_hides_behind_a_member_that_stands_twice(
    body: bytes, param: str
) -> None:
    error = await refused(body, "/v1/responses")
    assert (error.kind, error.param) == (Kind.INVALID_JSON, param)


@pytest.mark.parametrize(
    "body",
    [
        {"input": "item_reference"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": '"id"'}]}]},
        {"input": [{"type": "message", "id": "msg_1", "role": "user", "content": "x"}]},
        {"input": [{"type": "function_call", "id": "fc_1", "call_id": "c"}]},
        {"input": [{"id": "msg_1", "role": "assistant", "content": "x"}]},
        {"input": [1, None, "x", []], "metadata": {"id": "1"}},
        {"input": None, "background": False, "previous_response_id": None, "conversation": None},
        {"input": {"id": "x"}},
    ],
)
async def test_whole_items_pass(body: Any) -> None:
    assert isinstance(await call_of(body, "/v1/responses"), Call)


async def test_items_that_would_be_looked_at_for_long_are_refused() -> None:
    item = b'{"role":"user","id":"i"}'
    one_more = b'{"input":[' + item + (b"," + item) * MAX_ITEMS + b"]}"
    error = await refused(one_more, "/v1/responses")
    assert (error.kind, error.param) == (Kind.INVALID_VALUE, "input")
    assert isinstance(await call_of(one_more.replace(item + b",", b"", 1), "/v1/responses"), Call)
    many = b",".join(b'"a%d":1' % index for index in range(MAX_ITEM_MEMBERS))
    body = b'{"input":[{"role":"user","\\u0069d":"i",' + many + b"}]}"
    assert "too many members" in (await refused(body, "/v1/responses")).message


async def test_deep_items_are_refused_as_too_deep() -> None:
    body = b'{"input":[{"id":' + b"[" * DEEP + b"]" * DEEP + b"}]}"
    assert (await refused(body, "/v1/responses")).kind is Kind.INVALID_JSON


@pytest.mark.parametrize(
    ("store", "refused"), [(b"true", True), (b"false", False), (b"null", False)]
)
def test_where_nothing_is_kept_an_answer_may_not_ask_for_it(store: bytes, *, refused: bool) -> None:
    members = read_members("responses", b'{"store":%b}' % store)
    assert isinstance(members, ResponsesMembers)
    assert refuse_stored(members) is None
    error = refuse_stored(members, keeps=False)
    assert (error is not None) == refused
    assert error is None or error.param == "store"
