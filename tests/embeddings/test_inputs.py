"""What the input of an embedding call holds."""

from typing import Any

import pytest

from tests.layers.streams import compact
from veneer.dialects import Kind
from veneer.embeddings.inputs import (
    MAX_COMMAS,
    Caps,
    Shape,
    TooManyItemsError,
    items_of,
    over_caps,
    shape_of,
)

CAPS = Caps(parts=3, images=1, videos=0, text=5, url=9)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def image(url: str = "http://x") -> dict[str, Any]:
    return {"type": "image_url", "image_url": {"url": url}}


VIDEO = {"type": "video_url", "video_url": {"url": "http://v"}}


@pytest.mark.parametrize(
    ("said", "shape"),
    [
        (b'"text"', Shape.ONE),
        (b"null", Shape.ONE),
        (b"{}", Shape.ONE),
        (b"[ ]", Shape.EMPTY),
        (b'[ \n"a"]', Shape.BATCH),
        (b"[[1]]", Shape.BATCH),
        (b"[1, 2]", Shape.TOKENS),
        (b"[-1]", Shape.TOKENS),
        (b"[ {}]", Shape.PARTS),
    ],
)
def test_the_shape_is_seen_at_the_beginning(said: bytes, shape: Shape) -> None:
    assert shape_of(said) is shape


def test_items_are_texts_of_their_own() -> None:
    assert items_of(b'["a, b" , [1,2],{"x":[]} ]') == [b'"a, b"', b"[1,2]", b'{"x":[]}']


def test_a_list_that_is_too_long_is_not_taken_apart() -> None:
    with pytest.raises(TooManyItemsError):
        items_of(b'["a","b","c"]', 2)
    with pytest.raises(TooManyItemsError):
        items_of(b'["' + b"," * (MAX_COMMAS + 1) + b'"]')


@pytest.mark.parametrize(
    "said",
    [
        "a text that is longer than any part may be",
        [text("12345"), image(), text("\u00e9" * 5)],
        [{"type": "image_url", "image_url": "http://x"}],
        [{"type": 1, "text": 2, "image_url": 3}],
        [["a"], "long enough a text"],
        [[text("12345")], text("a"), image()],
        [1] * 50,
        [],
    ],
)
def test_what_is_within_the_caps_passes(said: Any) -> None:
    assert over_caps(compact(said), CAPS) is None


@pytest.mark.parametrize(
    ("said", "kind", "param"),
    [
        ([text("a")] * 4, Kind.EMBEDDINGS_TOO_MANY, "input"),
        ([image(), image()], Kind.EMBEDDINGS_TOO_MANY, "input"),
        ([{"type": "input_image"}, image()], Kind.EMBEDDINGS_TOO_MANY, "input"),
        ([text("a"), VIDEO], Kind.EMBEDDINGS_MEDIA, "input[1].type"),
        ([text("a"), text("123456")], Kind.EMBEDDINGS_TOO_LARGE, "input[1].text"),
        ([image("http://xxx")], Kind.EMBEDDINGS_TOO_LARGE, "input[0].image_url.url"),
        (
            [{"type": "image_url", "image_url": "http://xxx"}],
            Kind.EMBEDDINGS_TOO_LARGE,
            "input[0].image_url",
        ),
        ([text("a"), "b"], Kind.INVALID_TYPE, "input"),
        (["a", [image(), image()]], Kind.EMBEDDINGS_TOO_MANY, "input[1]"),
        (["a", VIDEO], Kind.EMBEDDINGS_MEDIA, "input[1][0].type"),
    ],
)
def test_what_is_over_a_cap_is_refused(said: Any, kind: Kind, param: str) -> None:
    error = over_caps(compact(said), CAPS)
    assert error is not None
    assert (error.kind, error.param) == (kind, param)
    assert error.message.isprintable()


def test_names_behind_escapes_are_seen() -> None:
    said = rb'["a",[{"t\u0079pe":"video"}]]'
    error = over_caps(said, CAPS)
    assert error is not None
    assert error.kind is Kind.EMBEDDINGS_MEDIA


@pytest.mark.parametrize("said", [b'[{"type":"text"}%b]', b'["type"%b]'])
def test_parts_without_number_are_not_taken_apart(said: bytes) -> None:
    error = over_caps(said % (b",1" * (MAX_COMMAS + 1)), CAPS)
    assert error is not None
    assert error.kind is Kind.EMBEDDINGS_TOO_LARGE


def test_videos_may_be_allowed() -> None:
    caps = Caps(videos=1)
    assert over_caps(compact([VIDEO]), caps) is None
    error = over_caps(compact([VIDEO, VIDEO]), caps)
    assert error is not None
    assert error.param == "input[1].type"
