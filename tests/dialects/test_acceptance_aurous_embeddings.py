"""Embeddings as Aurous' migration guide has them, through the real client of OpenAI."""

import base64
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from openai import OpenAI
from starlette.types import Receive, Scope, Send

from tests.asgi import read_body
from tests.dialects.served import EMBEDDING, Served, served
from tests.listening import listening

AUROUS = {"name": "aurous"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://images.test/cat.png"}}
TEXT = {"type": "text", "text": "A cat."}
PARTS: Any = [TEXT, IMAGE]


class Multimodal:
    """A model server whose model makes one vector of floats of one text, or of content parts."""

    def __init__(self) -> None:
        self.bodies: list[dict[str, Any]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with the same vector, whatever is asked; a batch is refused."""
        if scope["type"] == "lifespan":
            for name in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{name}.complete"})
            return
        body = json.loads(await read_body(receive))
        self.bodies.append(body)
        given = body["input"]
        is_one = isinstance(given, str) or all(isinstance(part, dict) for part in given)
        usage = {"prompt_tokens": 5, "total_tokens": 5}
        data = [{"object": "embedding", "index": 0, "embedding": [0.5, -1.0, len(given)]}]
        answer = {"object": "list", "data": data, "model": body["model"], "usage": usage}
        start = {"type": "http.response.start", "status": 200 if is_one else 500}
        await send({**start, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})


@pytest.fixture(scope="module")
def upstream() -> Multimodal:
    return Multimodal()


def settings(upstream: int, **embeddings: Any) -> dict[str, Any]:
    """Return tables for a model that takes images and no batches."""
    model = {"id": EMBEDDING, "kind": "embedding", "capabilities": ["vision"], "aliases": ["ada"]}
    return {
        "upstream": {"url": f"http://127.0.0.1:{upstream}/v1", "name": "multimodal"},
        "catalog": {"models": [model]},
        "embeddings": embeddings,
        "prices": {"models": [{"model": "*", "input": "1000", "input_image": "2000"}]},
    }


@pytest.fixture(scope="module")
def stack(upstream: Multimodal) -> Iterator[Served]:
    with listening(upstream) as port, served(AUROUS, **settings(port)) as found:
        yield found


@pytest.fixture(scope="module")
def fanning(upstream: Multimodal) -> Iterator[Served]:
    with (
        listening(upstream) as port,
        served(AUROUS, **settings(port, batches="fan-out", encoding="local")) as found,
    ):
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


@pytest.fixture
def fanned(fanning: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=fanning.url, api_key=fanning.key, max_retries=0) as made:
        yield made


@pytest.mark.parametrize("given", [["a", "b"], ["a"], [1, 2], [[1], [2]]], ids=str)
def test_a_batch_is_refused(client: OpenAI, upstream: Multimodal, given: Any) -> None:
    before = len(upstream.bodies)
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=EMBEDDING, input=given)
    error = caught.value
    assert (error.type, error.code) == ("invalid_request", "embeddings_batch_not_supported")
    assert error.param == "input"
    assert len(upstream.bodies) == before


def test_a_batch_is_fanned_out_by_option(fanned: OpenAI) -> None:
    answer = fanned.embeddings.create(model=EMBEDDING, input=["a", "bb", "ccc"])
    assert [row.embedding[2] for row in answer.data] == [1, 2, 3]
    assert [row.index for row in answer.data] == [0, 1, 2]
    assert answer.usage.total_tokens == 15
    # A credit is a cent, and a token a tenth of one.
    assert (answer.usage.model_extra or {})["credits_charged"] == pytest.approx(1.5)


def test_a_list_of_one_is_that_one_by_option(upstream: Multimodal) -> None:
    with (
        listening(upstream) as port,
        served(AUROUS, **settings(port, allow_singleton_list=True)) as stack,
        OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client,
    ):
        assert client.embeddings.create(model=EMBEDDING, input=["abc"]).data[0].embedding[2] == 3
        with pytest.raises(openai.BadRequestError):
            client.embeddings.create(model=EMBEDDING, input=["a", "b"])
    assert upstream.bodies[-1]["input"] == "abc"


def test_content_parts_are_one_vector(client: OpenAI, upstream: Multimodal) -> None:
    answer: Any = client.post(
        "/embeddings", cast_to=object, body={"model": EMBEDDING, "input": PARTS}
    )
    assert len(answer["data"]) == 1
    assert upstream.bodies[-1]["input"] == PARTS
    assert answer["usage"]["breakdown"]["input"].keys() == {"text", "visual", "video"}


@pytest.mark.parametrize(
    ("given", "code", "param"),
    [
        ([TEXT] * 17, "embeddings_input_too_many_items", "input"),
        ([IMAGE] * 9, "embeddings_input_too_many_items", "input"),
        (
            [{"type": "video_url", "video_url": {"url": "https://videos.test/cat.mp4"}}],
            "embeddings_video_unsupported",
            "input[0].type",
        ),
        (
            [{"type": "image_url", "image_url": {"url": "https://" + "x" * 2048}}],
            "embeddings_input_too_large",
            "input[0].image_url.url",
        ),
    ],
    ids=["parts", "images", "video", "url"],
)
def test_content_parts_have_their_caps(client: OpenAI, given: Any, code: str, param: str) -> None:
    for path in ("/embeddings", "/embeddings/estimate"):
        with pytest.raises(openai.BadRequestError) as caught:
            client.post(path, cast_to=object, body={"model": EMBEDDING, "input": given})
        assert (caught.value.code, caught.value.param) == (code, param)


def test_base64_is_made_of_floats_where_the_model_server_has_none(
    client: OpenAI, fanned: OpenAI, upstream: Multimodal
) -> None:
    expected = base64.b64encode(struct.pack("<3f", 0.5, -1.0, 3)).decode()
    for made, asked in ((client, "base64"), (fanned, "float")):
        # The client asks for it, and decodes it, unless it is told which.
        assert made.embeddings.create(model=EMBEDDING, input="abc").data[0].embedding[:2] == [
            0.5,
            -1,
        ]
        raw: Any = made.embeddings.create(model=EMBEDDING, input="abc", encoding_format="base64")
        assert raw.data[0].embedding == expected
        assert upstream.bodies[-1]["encoding_format"] == asked
        plain = made.embeddings.create(model=EMBEDDING, input="abc", encoding_format="float")
        assert plain.data[0].embedding == [0.5, -1, 3]


def test_an_estimate_costs_a_request_and_nothing_else(
    client: OpenAI, stack: Served, upstream: Multimodal
) -> None:
    before = len(upstream.bodies)
    held: Any = client.get("/balance", cast_to=object)
    answer = httpx.post(
        f"{stack.url}/embeddings/estimate",
        json={"model": "ada", "input": PARTS},
        headers={"authorization": f"Bearer {stack.key}"},
    )
    document = answer.json()
    tokens = document["tokens"]
    assert document["estimated"] is True
    assert tokens == {"text": 2, "image": 1445, "video": 0, "total": 1447}
    assert document["breakdown"]["model"] == EMBEDDING
    inputs = document["breakdown"]["input"]
    assert sum(inputs.values()) == pytest.approx(document["credits_estimated"])
    assert inputs == {"text": 0.2, "visual": 289, "video": 0}
    assert int(answer.headers["x-ratelimit-remaining"]) < 600
    assert "aurous-credits-charged" not in answer.headers
    assert client.get("/balance", cast_to=object) == held
    assert len(upstream.bodies) == before


def test_the_price_list_is_of_what_a_key_may_use(client: OpenAI) -> None:
    found: Any = client.get("/pricing", cast_to=object)
    assert found["currency"] == "credit"
    assert [row["id"] for row in found["data"]] == [EMBEDDING, "ada"]
    assert found["data"][0]["embedding_pricing"] == {
        "text": {"credits_per_M": 100_000},
        "visual": {"credits_per_M": 200_000},
    }


@pytest.mark.parametrize("dialect", ["openai", "auriko"])
def test_other_dialects_have_neither(dialect: str) -> None:
    with (
        served({"name": dialect}) as stack,
        OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as client,
    ):
        with pytest.raises(openai.NotFoundError):
            client.get("/pricing", cast_to=object)
        with pytest.raises(openai.NotFoundError):
            client.post("/embeddings/estimate", cast_to=object, body={"model": EMBEDDING})
