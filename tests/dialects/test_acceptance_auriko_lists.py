"""Auriko's lists of models and providers, to its real client, which shows no key for some."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import httpx
import pytest
from auriko._client import Client
from starlette.middleware import Middleware

from tests.asgi import Responder
from tests.dialects.auriko_calls import DIALECT, client_of
from tests.dialects.served import ALIAS, CHAT, EMBEDDING, Served, served
from tests.listening import listening
from veneer import HeadersMiddleware, Model, ModelsMiddleware, Price, PriceBook, Stack
from veneer.catalog.model import Provider
from veneer.dialects.auriko import auriko
from veneer.prices.money import DOLLAR

FAST, CHEAP, FREE = Provider("fast", "zdr"), Provider("cheap"), Provider("free", "no_training")
MODELS = (
    Model(
        id="llama-3",
        kind="chat",
        aliases=("gpt-4o", "gpt-4*"),
        context_window=8000,
        output_cap=4000,
        capabilities=frozenset({"tools", "vision"}),
        owned_by="meta",
        providers=(FAST, CHEAP, FREE),
    ),
    Model(id="vectors", kind="embedding", providers=(CHEAP,)),
    Model(id="whatever"),
    Model(id="hidden", listed=False, providers=(Provider("nobody"),)),
    Model(id="any-*", providers=(Provider("nobody"),)),
)
PRICES = PriceBook(
    [
        ("llama-3", Price(input=125 * DOLLAR // 1000, output=DOLLAR)),
        ("fast/llama-3", Price(input=DOLLAR, output=2 * DOLLAR, cached_input=DOLLAR // 2)),
        ("free/llama-3", Price(input=0, output=0)),
    ]
)


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    layers = [
        Middleware(HeadersMiddleware, dialect=auriko()),
        Middleware(ModelsMiddleware, models=MODELS, prices=PRICES),
    ]
    with listening(Stack(layers, Responder(b"{}"))) as port:
        made: Any = Client(api_key="x", base_url=f"http://127.0.0.1:{port}", max_retries=0)
        with made._httpx:
            yield made


def test_the_directory_has_each_model_once_with_all_who_serve_it(client: Any) -> None:
    found = client.models.list_directory()
    assert set(found.models) == {"llama-3", "vectors", "whatever"}
    assert datetime.fromisoformat(found.generated_at).tzinfo is not None
    llama = found.models["llama-3"]
    assert (llama.author, llama.aliases) == ("meta", ["gpt-4o"])
    fast, cheap, free = llama.providers
    assert (fast.provider, fast.provider_model_id, fast.data_policy) == ("fast", "llama-3", "zdr")
    assert (fast.context_window, fast.max_output_tokens) == (8000, 4000)
    assert fast.capabilities["tools"] is True
    assert fast.capabilities["json_schema"] is False
    assert (fast.input_modalities, fast.output_modalities) == (["text", "image"], ["text"])
    assert fast.supported_endpoints == ["chat_completions", "responses"]
    (tier,) = fast.tiers
    assert (tier.name, tier.input_price, tier.output_price) == ("standard", 1, 2)
    assert (tier.cache_read_price, tier.cache_write_price) == (0.5, 1)
    assert (cheap.data_policy, cheap.tiers[0].input_price) == (None, 0.125)
    assert free.tiers[0].output_price == 0
    assert found.models["vectors"].providers[0].tiers == []
    assert found.models["whatever"].providers == []


def test_the_registry_has_what_models_can_do(client: Any) -> None:
    found = client.models.list_registry()
    assert found.count == len(found.models) == 3
    llama, vectors, whatever = found.models
    assert (llama.id, llama.providers) == ("llama-3", ["fast", "cheap", "free"])
    assert (llama.has_free_provider, vectors.has_free_provider) == (True, False)
    assert vectors.output_modalities == ["embedding"]
    assert (whatever.capabilities, whatever.input_modalities) == ({}, ["text"])


def test_the_registry_has_each_provider_once(client: Any) -> None:
    found = client.models.list_providers()
    assert found.count == 3
    policies = [(provider.id, provider.data_policy) for provider in found.providers]
    assert policies == [("fast", "zdr"), ("cheap", "none"), ("free", "no_training")]


def test_rows_name_who_serves_a_model_at_what_price(client: Any) -> None:
    llama, alias, vectors, whatever = client.models.list().data
    assert [provider.name for provider in llama.providers] == ["fast", "cheap", "free"]
    assert llama.providers[0].data_policy == "zdr"
    assert alias.providers == llama.providers
    assert (vectors.providers, whatever.providers) == (None, None)


PUBLIC = ("directory/models", "registry/models", "registry/providers")


@pytest.fixture(scope="module")
def stack() -> Iterator[Served]:
    with served(DIALECT) as found:
        yield found


def test_who_has_no_key_is_shown_them(stack: Served) -> None:
    stranger = client_of(stack, stack.wrong_key)
    with stranger._httpx:
        assert set(stranger.models.list_directory().models) == {CHAT, EMBEDDING}
        assert stranger.models.list_registry().count == 2
        assert stranger.models.list_providers().count == 0
    for path in PUBLIC:
        answer = httpx.get(f"{stack.url}/{path}")
        assert answer.status_code == 200
        # Who has no key is counted by its address.
        assert int(answer.headers["x-ratelimit-remaining-requests"]) < 600


def test_who_has_no_key_is_shown_nothing_else(stack: Served) -> None:
    for path in ("models", f"models/{ALIAS}", "directory", "registry/models/x", "registry/"):
        assert httpx.get(f"{stack.url}/{path}").status_code == 401
    for path in PUBLIC:
        assert httpx.post(f"{stack.url}/{path}", json={}).status_code == 405


def test_an_operator_may_ask_for_a_key_or_show_none_of_them() -> None:
    closed = {**DIALECT, "public_lists": False}
    with served(closed, operations={"deny": ["registry"]}) as stack:
        key = {"authorization": f"Bearer {stack.key}"}
        directory, registry, _ = PUBLIC
        assert httpx.get(f"{stack.url}/{directory}").status_code == 401
        assert httpx.get(f"{stack.url}/{directory}", headers=key).status_code == 200
        assert httpx.get(f"{stack.url}/{registry}", headers=key).status_code == 404


def test_other_dialects_have_no_such_lists() -> None:
    with served({"name": "openai"}) as stack:
        key = {"authorization": f"Bearer {stack.key}"}
        for path in PUBLIC:
            assert httpx.get(f"{stack.url}/{path}").status_code == 401
            assert httpx.get(f"{stack.url}/{path}", headers=key).status_code == 404
