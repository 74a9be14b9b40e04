"""Which key an upstream is shown."""

import pytest

from tests.asgi import http_scope
from veneer.upstream.credentials import Credentials, Shown

SENT = (b"authorization", b"x-api-key", b"cookie")


@pytest.mark.parametrize(("passes", "kept"), [(True, True), (False, False)])
def test_what_the_client_sent_goes_on_only_where_it_passes(*, passes: bool, kept: bool) -> None:
    shown = Credentials("main", None, "Authorization", passes=passes).next(http_scope())
    assert isinstance(shown, Shown)
    assert shown.field is None
    assert shown.withheld.isdisjoint(SENT) == kept


def test_a_key_of_ours_stands_in_place_of_what_the_client_sent() -> None:
    shown = Credentials("main", ["sk-1"], "Authorization").next(http_scope())
    assert isinstance(shown, Shown)
    assert shown.field == (b"authorization", b"Bearer sk-1")
    assert shown.withheld.issuperset(SENT)
