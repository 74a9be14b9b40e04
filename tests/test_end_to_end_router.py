"""A file with three targets, real servers behind it, and the real clients in front."""

import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from auriko._client import AsyncClient
from auriko.errors.types import BadRequestError
from openai import AsyncOpenAI
from starlette.types import Receive, Scope, Send

from tests.gateway import Gateway, gateway
from veneer.config import build, build_upstream, load
from veneer.demo import DemoServer
from veneer.facts import SCOPE_KEY
from veneer.provider_keys.keeper import ProviderKeyKeeper
from veneer.provider_keys.record import Owner
from veneer.provider_keys.seals import Seals
from veneer.stores import open_provider_key_store

CALLER = "sk-caller-0123456789abcdef"
SECRET = "s" * 64
USER: Any = [{"role": "user", "content": "Say hi"}]

TOML = """
dialect.name = "auriko"
auth.keys = [{{ id = "k", secret = "env:CALLER", team = "red" }}]
prices.models = [{{ model = "chat", input = "10", output = "20" }}]
catalog.models = [{{ id = "chat", aliases = ["default"] }}]

[router]
optimize = "cost"

[own_keys]
store = "sqlite:///own.db"
refresh = 0

[[targets]]
name = "cheap"
url = "{cheap}"
api_key = "env:KEY"
models = {{ chat = "veneer-demo-1" }}
own_keys = true
prices = [{{ model = "veneer-demo-1", input = "1", output = "2" }}]

[[targets]]
name = "dear"
url = "{dear}"
api_key = "env:KEY"
models = {{ chat = "veneer-demo-1" }}
prices = [{{ model = "chat", input = "8", output = "16" }}]

[[targets]]
name = "middling"
urls = ["{middling}"]
api_key = "env:KEY"
models = {{ chat = "veneer-demo-1" }}
compat = {{ developer_role = false }}
prices = [{{ model = "*", input = "2", output = "4" }}]
"""


class Provider:
    """A demo model behind keys: it keeps those that it was shown, and refuses some."""

    def __init__(self) -> None:
        self.shown: list[str] = []
        self.refused: set[str] = set()
        self._demo = DemoServer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer who shows a key that is good."""
        if scope["type"] == "http":
            assert SCOPE_KEY not in scope
            key = dict(scope["headers"]).get(b"authorization", b"").decode()
            self.shown.append(key.removeprefix("Bearer "))
            if self.shown[-1] in self.refused:
                await send({"type": "http.response.start", "status": 401, "headers": []})
                await send({"type": "http.response.body", "body": b"{}"})
                return
        await self._demo(scope, receive, send)


class House:
    """A router on a socket, the providers behind it, and the way to stop one of them."""

    def __init__(self, served: Gateway, providers: dict[str, Provider], folder: Path) -> None:
        self.url = served.url
        self.providers = providers
        self._folder = folder
        self.running: dict[str, contextlib.AsyncExitStack] = {}

    async def give(self, owner: Owner, provider: str, key: str) -> None:
        """Keep a key of a caller's own."""
        store = open_provider_key_store(f"sqlite:///{self._folder}/own.db")
        try:
            await ProviderKeyKeeper(store, Seals([SECRET.encode()])).set(owner, provider, key)
        finally:
            await store.aclose()

    async def kill(self, provider: str) -> None:
        """Stop a provider."""
        await self.running[provider].aclose()

    def shown(self, provider: str) -> list[str]:
        """Return the keys that a provider was shown."""
        return self.providers[provider].shown


@pytest.fixture
async def house(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    """Give a router of three."""
    for name, value in (("CALLER", CALLER), ("KEY", "ours"), ("VENEER_OWN_KEYS_SECRET", SECRET)):
        monkeypatch.setenv(name, value)
    providers = {name: Provider() for name in ("cheap", "dear", "middling")}
    async with contextlib.AsyncExitStack() as stack:
        running, urls = {}, {}
        for name, provider in providers.items():
            running[name] = await stack.enter_async_context(contextlib.AsyncExitStack())
            urls[name] = (await running[name].enter_async_context(gateway(provider))).url
        file = tmp_path / "veneer.toml"
        file.write_text(TOML.format(**urls))
        config = load(file)
        served = await stack.enter_async_context(gateway(build(config, build_upstream(config))))
        found = House(served, providers, tmp_path)
        found.running = running
        yield found


@pytest.fixture
async def openai(house: House) -> AsyncIterator[AsyncOpenAI]:
    """Give OpenAI's client."""
    async with AsyncOpenAI(api_key=CALLER, base_url=house.url, max_retries=0) as client:
        yield client


@pytest.fixture
async def auriko(house: House) -> AsyncIterator[Any]:
    """Give Auriko's client."""
    made: Any = AsyncClient(api_key=CALLER, base_url=house.url, max_retries=0)
    async with made._httpx:
        yield made


async def test_the_cheapest_answers_and_says_who_it_is(
    house: House, openai: AsyncOpenAI, auriko: Any
) -> None:
    answer = await openai.chat.completions.create(model="default", messages=USER)
    assert answer.choices[0].message.content
    found = await auriko.chat.completions.create(model="chat", messages=USER)
    metadata = found.routing_metadata
    assert (metadata.provider, metadata.provider_model_id) == ("cheap", "veneer-demo-1")
    assert (metadata.model_canonical, metadata.routing_strategy) == ("chat", "cost")
    assert house.shown("cheap") == ["ours", "ours"]
    assert house.shown("dear") == house.shown("middling") == []
    listed = {row.id: row.model_extra or {} for row in (await openai.models.list()).data}
    assert set(listed) == {"chat", "default"}
    assert [each["name"] for each in listed["chat"]["providers"]] == ["cheap", "dear", "middling"]


async def test_what_a_call_wants_of_routing_decides(house: House, auriko: Any) -> None:
    gateway = {"routing": {"exclude_providers": ["cheap", "middling"]}}
    found = await auriko.chat.completions.create(model="chat", messages=USER, gateway=gateway)
    assert found.routing_metadata.provider == "dear"
    with pytest.raises(BadRequestError) as caught:
        await auriko.chat.completions.create(
            model="chat", messages=USER, gateway={"routing": {"providers": ["nobody"]}}
        )
    assert caught.value.code == "provider_not_in_allowlist"
    assert house.shown("cheap") == []


async def test_when_one_is_killed_the_next_one_answers(
    house: House, openai: AsyncOpenAI, auriko: Any
) -> None:
    await auriko.chat.completions.create(model="chat", messages=USER)
    await house.kill("cheap")
    for _ in range(3):
        found = await auriko.chat.completions.create(model="chat", messages=USER)
        assert found.routing_metadata.provider == "middling"
    messages: Any = [{"role": "developer", "content": "Be short"}, *USER]
    stream = await openai.chat.completions.create(model="chat", messages=messages, stream=True)
    chunks = [chunk async for chunk in stream]
    metadata: Any = chunks[-1].model_extra
    assert metadata["routing_metadata"]["provider"] == "middling"
    await house.kill("middling")
    found = await auriko.chat.completions.create(model="chat", messages=USER)
    assert found.routing_metadata.provider == "dear"


async def test_a_key_of_the_callers_own_goes_first_and_the_operators_next(
    house: House, auriko: Any
) -> None:
    await house.give(Owner("team", "red"), "cheap", "sk-team")
    found = await auriko.chat.completions.create(model="chat", messages=USER)
    assert found.routing_metadata.provider == "cheap"
    await house.give(Owner("key", "k"), "cheap", "sk-mine")
    await auriko.chat.completions.create(model="chat", messages=USER)
    assert house.shown("cheap") == ["sk-team", "sk-mine"]

    house.providers["cheap"].refused.add("sk-mine")
    found = await auriko.chat.completions.create(model="chat", messages=USER)
    assert found.routing_metadata.provider == "cheap"
    assert house.shown("cheap")[2:] == ["sk-mine", "ours"]

    only = {"routing": {"only_byok": True}}
    with pytest.raises(BadRequestError) as caught:
        await auriko.chat.completions.create(model="chat", messages=USER, gateway=only)
    assert caught.value.code == "byok_keys_required"
    assert "sk-mine" not in str(caught.value)
    assert house.shown("cheap")[4:] == ["sk-mine"]

    ours = {"routing": {"only_platform": True}}
    await auriko.chat.completions.create(model="chat", messages=USER, gateway=ours)
    assert house.shown("cheap")[5:] == ["ours"]
    assert CALLER not in {key for each in house.providers.values() for key in each.shown}


async def test_while_the_store_is_away_the_operators_keys_serve(
    house: House, auriko: Any, tmp_path: Path
) -> None:
    (tmp_path / "own.db").write_bytes(os.urandom(4096))
    found = await auriko.chat.completions.create(model="chat", messages=USER)
    assert found.routing_metadata.provider == "cheap"
    assert house.shown("cheap") == ["ours"]
    with pytest.raises(BadRequestError) as caught:
        await auriko.chat.completions.create(
            model="chat", messages=USER, gateway={"routing": {"only_byok": True}}
        )
    assert caught.value.code == "byok_keys_required"
