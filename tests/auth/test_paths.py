"""Paths that a host names."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.asgi import http_scope
from veneer.auth.paths import Paths

PATHS = Paths(["/docs", "/static/*"], option="public")


@pytest.mark.parametrize("path", ["/docs", "/static/a.css", "/static/a/b", "/static/"])
def test_a_path_is_held_exactly_or_by_its_branch(path: str) -> None:
    assert PATHS.certainly_hold(http_scope(path=path))
    assert PATHS.hold(http_scope(path=path))


@pytest.mark.parametrize(
    "path", ["/", "", "/docs/", "/docs/x", "/DOCS", "/static", "/x/docs", "//docs"]
)
def test_other_paths_are_not(path: str) -> None:
    assert not PATHS.certainly_hold(http_scope(path=path))
    assert not PATHS.hold(http_scope(path=path))


@pytest.mark.parametrize(
    "tail", ["..", "../v1/x", "a/../../v1/x", "./a", "/v1", "a//b", "%2e%2e/v1", "..\\v1", "..;/v1"]
)
def test_a_path_that_may_lead_out_of_its_branch_needs_a_key(tail: str) -> None:
    assert not PATHS.certainly_hold(http_scope(path=f"/static/{tail}"))


@given(st.text(st.characters(codec="utf-8"), max_size=20))
def test_what_is_certainly_held_stays_below(tail: str) -> None:
    if PATHS.certainly_hold(http_scope(path=f"/static/{tail}", raw_path=b"/")):
        assert ".." not in tail.split("/")
        assert tail.isprintable()


def test_paths_are_those_below_the_mount() -> None:
    assert PATHS.hold(http_scope(path="/api/docs", root_path="/api"))
    assert not PATHS.hold(http_scope(path="/apidocs", root_path="/api"))
    assert not PATHS.hold(http_scope(path="/api", root_path="/api"))
    assert PATHS.hold(http_scope(path="/docs", root_path="/api"))


@pytest.mark.parametrize("wrong", ["docs", "", "*", "/a*", "/*/b", "/a/**"])
def test_what_is_no_path_is_refused(wrong: str) -> None:
    with pytest.raises(ValueError, match="public has"):
        Paths([wrong], option="public")


def test_everything_can_be_held() -> None:
    assert Paths(["/*"], option="public").certainly_hold(http_scope(path="/v1/models"))
    assert not Paths([], option="public")
