"""The path of a request below its root."""

import pytest

from tests.asgi import http_scope
from veneer.paths import path_of


@pytest.mark.parametrize(
    ("path", "root", "below"),
    [
        ("/keys", "", "/keys"),
        ("/api/keys", "/api", "/keys"),
        ("/api", "/api", ""),
        ("/apikeys", "/api", "/apikeys"),
        # Servers older than ASGI 2.3's clarification leave the root out of the path.
        ("/keys", "/api", "/keys"),
    ],
)
def test_the_root_is_taken_off_where_a_segment_ends(path: str, root: str, below: str) -> None:
    assert path_of(http_scope(path=path, root_path=root)) == below
