"""Admin APIs: several in one."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest
from starlette.types import Receive, Scope

from tests.admin.asking import ask
from veneer.admin import AdminApi, AdminApis
from veneer.admin.api import Handler
from veneer.admin.documents import Answer, Listing


class One(AdminApi):
    """An API with one path, which tells when it is in use."""

    def __init__(self, path: str, used: list[str]) -> None:
        self._path = path
        self._used = used

    def handlers(self, path: str) -> Mapping[str, Handler] | None:
        """Know one path."""
        return {"GET": self._get} if path == self._path else None

    async def _get(self, _scope: Scope, _receive: Receive) -> Answer:
        return Answer(Listing(data=[self._path]))

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Tell."""
        return self._lifespan()

    @asynccontextmanager
    async def _lifespan(self) -> AsyncIterator[None]:
        self._used.append(f"+{self._path}")
        yield
        self._used.append(f"-{self._path}")


async def test_each_path_is_answered_by_the_first_that_has_it() -> None:
    api = AdminApis(One("/a", []), One("/b", []), One("/a", []))
    for path in ("/a", "/b"):
        assert (await ask(api, "GET", path)).json()["data"] == [path]
    assert (await ask(api, "GET", "/c")).status == 404
    assert (await ask(api, "PUT", "/b")).header("allow") == "HEAD, GET"
    assert (await ask(api, "GET", "/a", principal=None)).status == 401


async def test_all_are_in_use_together() -> None:
    used: list[str] = []
    async with AdminApis(One("/a", used), One("/b", used)).lifespan():
        assert used == ["+/a", "+/b"]
    assert used == ["+/a", "+/b", "-/b", "-/a"]


async def test_one_that_says_not_what_it_has_is_a_mistake() -> None:
    with pytest.raises(NotImplementedError):
        await ask(AdminApi(), "GET", "/")
