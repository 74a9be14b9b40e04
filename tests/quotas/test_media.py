"""Media: by what they cost, where they stand; and nothing hides behind their names."""

from typing import Any

import pytest

from tests.quotas.calls import call_of
from veneer.quotas.estimate import FRAME, bound
from veneer.quotas.media import MAX_OBJECTS, Media, MediaTokens, media_in

COSTS = MediaTokens()
BYTES = "A" * 400_000
IMAGE = "data:image/png;base64," + BYTES
PDF = "data:application/pdf;base64," + BYTES


def chat(*parts: Any) -> Media:
    body = {"messages": [{"role": "user", "content": "x"}, {"role": "user", "content": parts}]}
    return media_in("chat.completions", call_of("chat/completions", body)[1], COSTS)


def response(*parts: Any, **item: Any) -> Media:
    body = {"input": [{"role": "user", "content": parts} | item]}
    return media_in("responses", call_of("responses", body)[1], COSTS)


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"image_url": {"url": IMAGE}}, 1445),
        ({"image_url": {"url": IMAGE, "detail": "auto"}}, 1445),
        ({"image_url": {"url": IMAGE, "detail": "low"}}, 85),
        ({"image_url": {"url": IMAGE, "detail": ["low"] * 99}}, 1445),
        ({"image_url": {"url": "https://example.com/a.png"}}, 1445),
        ({"image_url": "https://example.com/a.png"}, 1445),
        ({"input_audio": {"data": BYTES, "format": "wav"}}, 300_001 // 1600),
        ({"input_audio": {"data": BYTES * 4, "format": "mp3"}}, 1_200_001 // 1600),
        ({"input_audio": {"data": "", "format": "wav"}}, 300),
        ({"input_audio": {}}, 300),
        ({"file": {"file_data": PDF}}, 300_022 // 20),
        ({"file": {"file_data": "JVBERi0" + BYTES}}, 300_006 // 20),
        ({"file": {"file_data": "JVBERi0"}}, 2000),
        ({"file": {"file_data": BYTES}}, 300_001),
        ({"file": {"file_data": "data:text/plain;base64," + BYTES}}, 300_018),
        ({"file": {"file_id": "file-1"}}, 2000),
    ],
)
def test_a_part_of_a_chat_costs_what_it_is(part: Any, tokens: int) -> None:
    expected = max(tokens, 300) if "input_audio" in part else tokens
    assert chat({"type": next(iter(part)), **part}).tokens == expected


@pytest.mark.parametrize(
    ("part", "tokens"),
    [
        ({"type": "input_image", "image_url": IMAGE}, 1445),
        ({"type": "input_image", "image_url": IMAGE, "detail": "low"}, 85),
        ({"type": "input_image", "file_id": "file-1"}, 1445),
        ({"type": "input_file", "file_data": PDF}, 300_022 // 20),
        ({"type": "input_file", "file_url": "https://example.com/a.pdf"}, 2000),
        ({"type": "input_file", "file_id": "file-1"}, 2000),
    ],
)
def test_a_part_of_a_response_costs_what_it_is(part: Any, tokens: int) -> None:
    assert response(part).tokens == tokens
    assert response(content="x", output=[part]).tokens == tokens


def test_pictures_among_the_items_of_a_response_are_found() -> None:
    screenshot = {"type": "computer_screenshot", "image_url": IMAGE}
    assert response(content="x", output=screenshot) == Media(len(IMAGE) + 2, 1445)
    made = {"type": "image_generation_call", "result": BYTES}
    assert response(**made) == Media(len(BYTES) + 2, 1445)


def test_several_media_add_up_and_texts_beside_them_stay() -> None:
    image = {"type": "image_url", "image_url": {"url": IMAGE}}
    text = {"type": "text", "text": "x" * 5000}
    body = {"messages": [{"role": "user", "content": [text, image, image]}], "max_tokens": 1}
    call, data = call_of("chat/completions", body)
    found = bound()(call, data)
    assert 5000 + 2 * 1445 < found.input_tokens < 5000 + 2 * 1445 + 200 + FRAME


def test_what_media_cost_can_be_said() -> None:
    costs = MediaTokens(image_high=9)
    image = {"type": "image_url", "image_url": {"url": IMAGE}}
    call, data = call_of("chat/completions", {"messages": [{"content": [image]}]})
    assert bound(media=costs)(call, data).input_tokens < 100


@pytest.mark.parametrize(
    "body",
    [
        {"messages": [], "tools": [{"image_url": {"url": IMAGE}}]},
        {"messages": [{"role": "user", "content": IMAGE}], "x": "image_url"},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": IMAGE}]}], "file": 1},
        {"messages": IMAGE, "x": ["image_url"]},
        {"messages": [IMAGE], "x": ["image_url"]},
        {"messages": [{"content": [IMAGE]}], "x": ["image_url"]},
        {"messages": [{"content": [{"image_url": {"url": IMAGE}}, 5]}]},
        {"input": [{"role": "user", "content": [{"image_url": IMAGE}]}]},
    ],
)
def test_text_is_no_medium_because_a_name_stands_somewhere(body: Any) -> None:
    call, data = call_of("chat/completions", body)
    assert bound()(call, data).input_tokens == call.input_bytes + FRAME


def test_a_body_of_very_many_objects_counts_by_its_bytes() -> None:
    image = {"type": "image_url", "image_url": {"url": "x"}}
    call, data = call_of("chat/completions", {"messages": [{"content": [image] * MAX_OBJECTS}]})
    assert media_in(call.operation.name, data, COSTS) == Media()


@pytest.mark.parametrize("path", ["completions", "embeddings", "moderations"])
def test_other_operations_have_no_media(path: str) -> None:
    call, data = call_of(path, {"input": [{"content": [{"type": "input_image"}]}]})
    assert media_in(call.operation.name, data, COSTS) == Media()


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("image_url", 0),
        ([{"type": "image_url", "image_url": {"url": "http://x"}}], 1445),
        ([{"type": "text", "text": "image_url"}], 0),
        ([[{"type": "input_image", "image_url": "http://x", "detail": "low"}], "a"], 85),
    ],
)
def test_images_of_an_embedding_cost_what_they_are(given: Any, tokens: int) -> None:
    body = call_of("embeddings", {"input": given})[1]
    assert media_in("embeddings", body, COSTS).tokens == tokens
