"""Soft thresholds and their webhook as they are configured."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import json_request
from tests.config.test_cost import PRICES, built, layer_of
from tests.upstream.servers import eventually
from veneer import ConfigurationError
from veneer.config import parse
from veneer.wire.signing import key_of, signature

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
URL = "https://hooks.test/T0KEN"
# What a call costs is 0.000011 dollars.
SOFT = {"limit": "0.000011", "partition": "all", "soft": [0.5, 1]}


def document(*, budget: dict[str, Any] | None = None, **cost: Any) -> dict[str, Any]:
    return {"prices": PRICES, "cost": cost, "budgets": [{**SOFT, **(budget or {})}]}


async def test_what_is_configured_is_delivered_and_signed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[tuple[dict[str, str], bytes]] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        lines = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")[1:-2]
        fields = {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)}
        found.append((fields, await reader.readexactly(int(fields["content-length"]))))
        writer.write(b"HTTP/1.1 204 Thanks\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        monkeypatch.setenv("HOOK", f"http://127.0.0.1:{port}/hook")
        (tmp_path / "secret").write_text(SECRET)
        stack = built(
            document(
                budget={"limit": "1", "soft": [0.00001]},
                webhook="env:HOOK",
                webhook_secret="file:secret",
            ),
            tmp_path,
        )
        async with stack.lifespan():
            assert (await json_request({"model": "m", "messages": [{}]}).run(stack)).status == 200
            await eventually(lambda: found != [])
    [(fields, body)] = found
    assert json.loads(body)["data"] == {
        "budget": "month",
        "partition": {"all": ""},
        "period": "month",
        "starts": json.loads(body)["data"]["starts"],
        "ends": json.loads(body)["data"]["ends"],
        "threshold": 0.00001,
        "limit_usd": "1",
        "spent_usd": "0.000011",
    }
    assert fields["webhook-signature"] == signature(
        key_of(SECRET), fields["webhook-id"], int(fields["webhook-timestamp"]), body
    )


async def test_without_a_webhook_thresholds_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    stack = built(document(budget={"limit": "1", "soft": [0.00001]}))
    async with stack.lifespan():
        await json_request({"model": "m", "messages": [{}]}).run(stack)
    [message] = [each for each in caplog.messages if "threshold" in each]
    assert message.startswith("a soft threshold is reached: the budget month (all) at 1e-05 of")


def test_thresholds_reach_the_policy() -> None:
    [policy] = layer_of(built(document()))._accounts._policies.values()
    assert policy.soft == (0.5, 1.0)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (
            document(budget={"soft": []}, webhook=URL),
            r"\[cost\] webhook is set, and no budget has a threshold to tell of: give one of ",
        ),
        (
            {"prices": PRICES, "cost": {"webhook": URL}},
            r"\[cost\] webhook is set, and no budget has a threshold to tell of",
        ),
        ({"cost": {"webhook": URL}}, r"\[cost\] webhook is set, and nothing has a price"),
        (
            document(webhook_secret="env:HOOK_SECRET"),
            r"\[cost\] webhook_secret is set, and there is nothing that it would sign",
        ),
        (
            document(webhook=URL, webhook_secret="env:NOT_SET_ANYWHERE"),
            r"\[cost\] webhook_secret: the environment variable NOT_SET_ANYWHERE is not set",
        ),
        (
            document(webhook="https://u:T0KEN@hooks.test/"),
            r"\[cost\] webhook has a password in it: put the URL into an environment variable",
        ),
        (document(webhook="ftp://hooks.test/T0KEN"), r"\[cost\] webhook: The URL has to be http"),
        (document(webhook=1), r"\[cost\] webhook must be a string that is not empty"),
        (document(webhook=""), r"\[cost\] webhook must be a string that is not empty"),
        (
            document(webhook=URL, webhook_secret=SECRET),
            r"\[cost\] webhook_secret must be env:NAME or file:PATH, never the secret itself",
        ),
        (document(budget={"soft": [0]}), r"\[\[budgets\]\] number 1 soft must be a list, each "),
        (document(budget={"soft": [1.1]}), "each item a number above 0 and up to 1, not"),
        (document(budget={"soft": 0.8}), "soft must be a list"),
        (document(budget={"soft": [0.8, 0.8]}), r"number 1: soft has 0.8 twice: leave one"),
        (document(budget={"soft": [0.01 * n for n in range(1, 22)]}), "give at most 20"),
    ],
)
def test_what_cannot_be_is_said_with_its_table(given: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        built(given)
    assert "T0KEN" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_secret_that_signs_nothing_is_refused_unseen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_SECRET", "hunter2")
    with pytest.raises(ConfigurationError, match=r"\[cost\] webhook: The secret has") as caught:
        built(document(webhook=URL, webhook_secret="env:HOOK_SECRET"))
    assert "hunter2" not in str(caught.value)


def test_relative_files_start_from_where_the_configuration_lies() -> None:
    table = parse(
        {"cost": {"webhook": "file:hook", "webhook_secret": "file:secret"}}, folder=Path("/etc/x")
    ).cost
    assert (table.webhook, table.webhook_secret) == ("file:/etc/x/hook", "file:/etc/x/secret")
