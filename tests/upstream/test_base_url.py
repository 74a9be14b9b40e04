"""Base URLs of upstreams."""

import pytest

from veneer.upstream.base_url import split_url


@pytest.mark.parametrize(
    ("url", "origin", "base"),
    [
        ("http://localhost:8000/v1", "http://localhost:8000", b"/v1"),
        ("http://localhost:8000/v1/", "http://localhost:8000", b"/v1"),
        ("https://api.example", "https://api.example", b""),
        ("https://api.example/a%20b/c", "https://api.example", b"/a%20b/c"),
        ("http://[::1]:80/v1", "http://[::1]:80", b"/v1"),
    ],
)
def test_a_url_is_an_origin_and_a_base_path(url: str, origin: str, base: bytes) -> None:
    assert split_url(url) == (origin, base)


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        ("localhost:8000", "give a URL such as"),
        ("ftp://host/v1", "give a URL such as"),
        ("http:///v1", "give a URL such as"),
        ("http://user:pw@host/v1", "use api_key"),
        ("http://host/v1?x=1", "leave out what follows"),
        ("http://host/v1#x", "leave out what follows"),
        ("http://host:99999/v1", "is no port number"),
        ("http://host:x/v1", "is no port number"),
        ("http://host/a b", "percent-encoded"),
        ("http://host/\u00e9", "percent-encoded"),
        ("http://host/%zz", "percent-encoded"),
    ],
)
def test_what_is_no_base_url_is_refused_with_advice(url: str, sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as failure:
        split_url(url)
    assert "pw" not in str(failure.value)
