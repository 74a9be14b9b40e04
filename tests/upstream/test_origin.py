"""Origins of upstreams."""

import pytest

from veneer.upstream.origin import Origin


@pytest.mark.parametrize(
    ("url", "origin", "authority"),
    [
        ("http://upstream.test", Origin("http", "upstream.test", 80), "upstream.test"),
        ("https://upstream.test/v1?x", Origin("https", "upstream.test", 443), "upstream.test"),
        ("HTTP://UPSTREAM.test:80", Origin("http", "upstream.test", 80), "upstream.test"),
        ("http://upstream.test:443", Origin("http", "upstream.test", 443), "upstream.test:443"),
        ("http://my_vllm:8000/v1", Origin("http", "my_vllm", 8000), "my_vllm:8000"),
        ("http://127.0.0.1:8000", Origin("http", "127.0.0.1", 8000), "127.0.0.1:8000"),
        ("https://[::1]", Origin("https", "::1", 443), "[::1]"),
        ("http://[fe80::1]:8000", Origin("http", "fe80::1", 8000), "[fe80::1]:8000"),
        ("http://bücher.test", Origin("http", "xn--bcher-kva.test", 80), "xn--bcher-kva.test"),
    ],
)
def test_origins_are_read_from_urls(url: str, origin: Origin, authority: str) -> None:
    assert Origin.parse(url) == origin
    assert origin.authority == authority
    assert origin.secure == (origin.scheme == "https")


@pytest.mark.parametrize(
    "url",
    [
        "upstream.test:8000",
        "ftp://upstream.test",
        "http://",
        "http:///v1",
        "http://user:secret@upstream.test",
        "http://user@upstream.test",
        "http://up stream.test",
        "http://upstream.test%0d%0a",
        "http://upstream.test:port",
        "http://upstream.test:99999",
        "http://upstream.test:0",
    ],
)
def test_other_urls_are_refused_without_their_secrets(url: str) -> None:
    with pytest.raises(ValueError, match=r".") as raised:
        Origin.parse(url)
    assert "secret" not in str(raised.value)
