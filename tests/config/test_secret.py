"""Reading secrets."""

from pathlib import Path

import pytest

from veneer import ConfigurationError
from veneer.config.secret import read_secret


def test_a_secret_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KEY", " sk-1\n")
    assert read_secret("env:KEY", "[upstream] api_key") == "sk-1"


def test_a_secret_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-2\n")
    assert read_secret(f"file:{tmp_path / 'key'}", "[upstream] api_key") == "sk-2"


def test_a_variable_that_is_not_set_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KEY", raising=False)
    with pytest.raises(ConfigurationError, match="api_key: the environment variable KEY is not se"):
        read_secret("env:KEY", "[upstream] api_key")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="none cannot be read: No such file"):
        read_secret(f"file:{tmp_path / 'none'}", "[upstream] api_key")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b" \n", "is empty"),
        (b"sk-a sk-b", "one word"),
        (b"sk-a\nsk-b", "one word"),
        ("schlüssel".encode(), "visible ASCII"),
        (b"sk-\xff", "is not text"),
    ],
)
def test_what_cannot_be_a_key_is_refused_and_not_repeated(
    content: bytes, complaint: str, tmp_path: Path
) -> None:
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigurationError, match=complaint) as caught:
        read_secret(f"file:{tmp_path / 'key'}", "[upstream] api_key")
    assert "sk-" not in str(caught.value)
    assert caught.value.__cause__ is None
