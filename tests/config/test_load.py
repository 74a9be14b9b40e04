"""Loading a configuration."""

import contextlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer import ConfigurationError
from veneer.config import Config, load, parse


def write(folder: Path, text: str | bytes) -> Path:
    path = folder / "veneer.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def problems(document: dict[str, Any]) -> list[str]:
    """Return what is said about a document that is wrong."""
    with pytest.raises(ConfigurationError) as caught:
        parse(document)
    return str(caught.value).splitlines()


def test_an_empty_file_is_all_defaults(tmp_path: Path) -> None:
    assert load(write(tmp_path, "")) == Config()


def test_options_are_read_into_their_tables(tmp_path: Path) -> None:
    config = load(
        write(
            tmp_path,
            """
            [serve]
            port = 9000
            grace = 5
            [upstream]
            url = "http://localhost:8000/v1"
            api_key = ["env:A", "env:B"]
            timeouts.read = inf
            [upstream.limits]
            max_idle = 0
            [headers]
            cors_origins = ["*"]
            """,
        )
    )
    assert (config.serve.port, config.serve.grace) == (9000, 5.0)
    assert config.upstream.api_key == ["env:A", "env:B"]
    assert config.upstream.timeouts.read == float("inf")
    assert config.upstream.limits.max_idle == 0
    assert config.headers.cors_origins == ["*"]


def test_relative_paths_start_where_the_file_lies(tmp_path: Path) -> None:
    config = load(
        write(tmp_path, '[upstream]\nca_file = "ca.pem"\napi_key = ["file:a.key", "env:B"]'),
        {"serve": {"port": 1}},
    )
    assert config.upstream.ca_file == str(tmp_path / "ca.pem")
    assert config.upstream.api_key == [f"file:{tmp_path / 'a.key'}", "env:B"]
    absolute = load(write(tmp_path, '[upstream]\napi_key = "file:/run/key"'))
    assert absolute.upstream.api_key == "file:/run/key"


def test_overrides_stand_above_the_file_and_start_where_we_are(tmp_path: Path) -> None:
    path = write(tmp_path, '[serve]\nport = 1\nhost = "::1"\n[upstream]\napi_key = "file:a"')
    overrides = {"serve": {"port": 2}, "upstream": {"api_key": "file:b", "timeouts": {"read": 3}}}
    config = load(path, overrides)
    assert (config.serve.port, config.serve.host) == (2, "::1")
    assert config.upstream.api_key == "file:b"
    assert config.upstream.timeouts.read == 3


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"upstream": {"ur": "x"}}, "[upstream] has no 'ur'; did you mean 'url'?"),
        ({"upstraem": {}}, "There is no table [upstraem]; did you mean 'upstream'?"),
        ({"upstream": {"timeouts": {"conect": 1}}}, "did you mean 'connect'?"),
        ({"log": {"zzz": 1}}, "[log] has no 'zzz'; it has enabled, format."),
        ({"serve": 3}, "[serve] is a table: give its options as key = value below it."),
        ({"upstream": {"limits": []}}, "[upstream.limits] is a table"),
        (
            {"serve": {"port": "80"}},
            "[serve] port must be a whole number from 0 to 65535, not '80'",
        ),
        ({"serve": {"port": 70000}}, "[serve] port must be a whole number from 0 to 65535, not 70"),
        ({"serve": {"port": True}}, "not true."),
        ({"serve": {"workers": 0}}, "[serve] workers must be a whole number from 1 to 256, not 0."),
        ({"serve": {"grace": float("nan")}}, "[serve] grace must be"),
        ({"serve": {"header_timeout": 0}}, "must be a number above 0 and up to 86400, not 0."),
        ({"serve": {"max_url": 1}}, "must be a whole number of at least 256, not 1."),
        ({"upstream": {"timeouts": {"read": 0}}}, "read must be a number above 0, not 0."),
        ({"upstream": {"api_key_header": "a b"}}, "must be the name of a header field, not 'a b'."),
        ({"log": {"format": "xml"}}, '[log] format must be "json" or "text", not \'xml\'.'),
        ({"headers": {"server_timing": {}}}, "must be true or false, not a table."),
        ({"headers": {"cors_origins": "*"}}, "must be a list, each item a string, not '*'."),
        ({"upstream": {"name": ""}}, "[upstream] name must be a string that is not empty, not ''."),
        ({"upstream": {"url": 5 * "long " * 99}, "log": {"format": 99 * "x"}}, "xxx..."),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document: dict[str, Any], sentence: str) -> None:
    (said,) = problems(document)
    assert sentence in said


def test_every_wrong_option_has_its_line() -> None:
    said = problems({"serve": {"port": -1, "hots": "x"}, "log": 1})
    assert [line.partition(" ")[0] for line in said] == ["[serve]", "[serve]", "[log]"]


@pytest.mark.parametrize(
    "key", ["sk-very-secret", "env:", "file:", 17, ["env:A", "sk-very-secret"]]
)
def test_a_secret_in_the_file_is_refused_and_not_repeated(key: Any) -> None:
    (said,) = problems({"upstream": {"api_key": key}})
    assert said.startswith("[upstream] api_key must be env:NAME or file:PATH, never the secret")
    assert "very" not in said


def test_a_list_of_no_keys_is_refused() -> None:
    (said,) = problems({"upstream": {"api_key": []}})
    assert said == (
        "[upstream] api_key must be env:NAME or file:PATH, "
        "or a list, each item env:NAME or file:PATH, not []."
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[serve\n", "is not TOML: .*line 1, column 7"),
        ("\n[serve]\nport =\n", "is not TOML: .*line 3"),
        (b"[serve]\nhost = '\xff'", r"is not UTF-8 \(byte 16\)"),
        ("a = " + "[" * 5000, "is not TOML: "),
    ],
)
def test_a_file_that_is_not_toml_is_refused(
    text: str | bytes, sentence: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        load(write(tmp_path, text))


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"none\.toml cannot be read: No such file"):
        load(tmp_path / "none.toml")


VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)
NAMES = st.sampled_from(["serve", "upstream", "log", "port", "api_key", "timeouts", "read"])


@given(st.dictionaries(NAMES, st.dictionaries(NAMES, VALUES) | VALUES))
def test_any_document_is_a_configuration_or_a_sentence(document: dict[str, Any]) -> None:
    with contextlib.suppress(ConfigurationError):
        assert isinstance(parse(document), Config)
