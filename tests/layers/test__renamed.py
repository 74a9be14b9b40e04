"""Another id in the chunks of streams."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.layers.streams import CHAT, CHAT_WITH_USAGE, DONE, chunk, event, members
from veneer.layers._renamed import Renamed

OURS = "cmp_1"
IDS = st.sampled_from(["chatcmpl-1", "chatcmpl-2", "", "cmp_1", 'a"b', "\u00e9"])


def renamed(*parts: bytes) -> bytes:
    names = Renamed(OURS)
    return b"".join(map(names.feed, parts))


@pytest.mark.parametrize("stream", [CHAT, CHAT_WITH_USAGE])
def test_nothing_but_the_id_differs(stream: tuple[bytes, ...]) -> None:
    whole = b"".join(stream)
    expected = whole.replace(b'"chatcmpl-1"', b'"cmp_1"')
    assert renamed(*stream) == renamed(whole) == expected


@given(st.lists(st.tuples(IDS, st.text(max_size=9), st.booleans()), max_size=8), st.booleans())
def test_every_chunk_gets_it_however_the_upstream_writes_its_own(
    said: list[tuple[str, str, bool]],
    at_once: bool,  # noqa: FBT001 - hypothesis gives it by position
) -> None:
    def made(name: str, text: str, last: object) -> Any:
        head = {"model": "m"} if last else {"id": name, "model": "m"}
        tail = {"id": name} if last else {}
        return {**head, "choices": [{"delta": {"content": text, "id": name}}], **tail}

    chunks = [made(*each) for each in said]
    stream = [*map(event, chunks), DONE]
    answer = renamed(b"".join(stream)) if at_once else renamed(*stream)
    assert members(answer) == [*({**each, "id": OURS} for each in chunks), "[DONE]"]


@pytest.mark.parametrize("first", [None, 5])
def test_an_id_that_is_no_text_is_not_looked_for_in_other_chunks(first: object) -> None:
    call = {"id": first, "function": {"arguments": "{"}}
    chunks: list[dict[str, Any]] = [
        {"id": first, "choices": []},
        {"choices": [{"delta": {"tool_calls": [call]}}]},
        {"id": 51, "choices": []},
    ]
    answers = members(renamed(*map(event, chunks)))
    assert answers == [{**chunks[0], "id": OURS}, chunks[1], {"id": OURS, "choices": []}]


def test_a_text_that_tells_of_an_id_stays() -> None:
    text = 'say "id":"chatcmpl-1" and \\"id\\":\\"chatcmpl-1\\"'
    answers = members(renamed(chunk("a"), chunk(text), chunk(text) + chunk(text)))
    assert [each["choices"][0]["delta"]["content"] for each in answers] == ["a", text, text, text]


@pytest.mark.parametrize(
    "part",
    [
        b": keep-alive\n\n",
        event({"error": {"message": "gone"}, "id": "x"}),
        event({"id": "x"}),
        b"data: {broken\n\n",
        b"data: [DONE]\n\n",
        b"data: {\n",
    ],
)
def test_what_is_no_chunk_passes_as_it_is(part: bytes) -> None:
    assert renamed(part) == part
    assert renamed(chunk("a"), part) == renamed(chunk("a")) + part
