"""The models that an upstream lists, beside those that are configured."""

import asyncio
import json
import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.limiters.virtual import run
from veneer.catalog.discovery import PATIENCE, Discovery, UnlistedError, read_models
from veneer.catalog.model import Model


class Upstream:
    """Lists models; counts how often it is asked, and fails where it is told to."""

    def __init__(self, *names: str) -> None:
        self.names = list(names)
        self.failure: Exception | None = None
        self.silent = False
        self.asked = 0

    async def ask(self) -> bytes:
        """Answer."""
        self.asked += 1
        if self.silent:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        return json.dumps({"data": [{"id": name} for name in self.names]}).encode()


def discovery(upstream: Upstream, *models: Model, **options: Any) -> Discovery:
    """Return one that goes by the loop's clock."""
    clock = asyncio.get_running_loop().time
    return Discovery(upstream.ask, models, clock=clock, wall=lambda: 5.0, **options)


def ids(found: Discovery) -> list[str]:
    return [name for name, _ in found.catalog.names()]


def test_the_upstream_is_asked_at_once_and_then_regularly() -> None:
    async def story() -> None:
        upstream = Upstream("a")
        found = discovery(upstream, Model(id="own"), refresh=60.0)
        async with found.lifespan():
            await asyncio.sleep(0.1)
            assert ids(found) == ["own", "a"]
            upstream.names.append("b")
            await asyncio.sleep(60)
            assert ids(found) == ["own", "a", "b"]
        asked = upstream.asked
        await asyncio.sleep(600)
        assert upstream.asked == asked == 2

    run(story())


@pytest.mark.parametrize("silent", [True, False])
def test_the_last_good_list_counts_while_the_upstream_fails(
    silent: bool,  # noqa: FBT001 - a parameter of the test
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        upstream = Upstream("a")
        found = discovery(upstream, refresh=60.0)
        async with found.lifespan():
            await asyncio.sleep(1)
            upstream.failure, upstream.silent = UnlistedError("status 500"), silent
            await asyncio.sleep(70)
            assert ids(found) == ["a"]
        assert found.catalog.made == 5.0

    caplog.set_level(logging.WARNING, "veneer.models")
    run(story())
    assert "the last list counts" in caplog.text


def test_what_fails_at_first_is_tried_again_soon() -> None:
    async def story() -> None:
        upstream = Upstream("a")
        upstream.failure = UnlistedError("refused")
        found = discovery(upstream, Model(id="own"), refresh=600.0)
        async with found.lifespan():
            await asyncio.sleep(1)
            assert ids(found) == ["own"]
            upstream.failure = None
            await asyncio.sleep(PATIENCE)
            assert ids(found) == ["own", "a"]

    run(story())


def test_a_bug_of_the_app_is_told_and_names_are_asked_for_all_the_same(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def story() -> None:
        upstream = Upstream("a")
        upstream.failure = KeyError("bug")
        found = discovery(upstream)
        async with found.lifespan():
            await asyncio.sleep(1)
            assert "models are no longer asked for" in caplog.text
            upstream.failure = None
            await asyncio.sleep(PATIENCE)
            assert await found.find("a") is not None

    run(story())


def test_a_name_that_nobody_knows_is_asked_for_but_not_too_often() -> None:
    async def story() -> None:
        upstream = Upstream("a")
        found = discovery(upstream)
        assert await found.find("a") is not None
        upstream.names.append("b")
        assert await found.find("b") is None
        assert upstream.asked == 1
        await asyncio.sleep(PATIENCE)
        models = await asyncio.gather(*(found.find("b") for _ in range(20)))
        assert all(models)
        assert upstream.asked == 2

    run(story())


def test_what_is_configured_goes_before_what_is_listed() -> None:
    async def story() -> None:
        upstream = Upstream("a", "b", "tuned-1", "odd*")
        own = [
            Model(id="a", context_window=9, aliases=("b",)),
            Model(id="tuned-*", context_window=7),
        ]
        found = discovery(upstream, *own)
        await found.refreshed()
        assert ids(found) == ["a", "b", "tuned-1"]
        assert found.catalog.find("b") == own[0]
        tuned = found.catalog.find("tuned-1")
        assert tuned is not None
        assert tuned.context_window == 7

    run(story())


def test_who_is_refreshed_is_so_for_its_time() -> None:
    async def story() -> None:
        upstream = Upstream("a")
        found = discovery(upstream, refresh=60.0)
        for _ in range(3):
            await found.refreshed()
        assert upstream.asked == 1
        await asyncio.sleep(60)
        await found.refreshed()
        assert upstream.asked == 2

    run(story())


def test_rows_that_are_no_models_are_left_out() -> None:
    rows = [
        {"id": "a", "max_model_len": 10, "created": 3.0, "owned_by": "x", "object": "model"},
        {"id": "a", "max_model_len": 11},
        {"id": 5},
        "b",
        {"id": "c", "context_window": -1, "owned_by": None},
    ]
    assert read_models(json.dumps({"data": rows}).encode()) == [
        Model(id="a", context_window=10, created=3, owned_by="x"),
        Model(id="c"),
    ]


@given(st.binary(max_size=30))
def test_what_is_no_list_is_said_to_be_none(text: bytes) -> None:
    with pytest.raises(UnlistedError, match="no list of models"):
        read_models(b"[" + text)


@pytest.mark.parametrize(("refresh", "timeout"), [(0.0, 1.0), (1.0, 0.0)])
def test_numbers_that_cannot_be_are_refused(refresh: float, timeout: float) -> None:
    with pytest.raises(ValueError, match="give seconds"):
        Discovery(Upstream().ask, refresh=refresh, timeout=timeout)
