"""The reference of options."""

from veneer.config.expected import description
from veneer.config.reference import reference, undocumented


def test_every_option_has_a_description() -> None:
    assert undocumented() == []


def test_a_type_without_words_has_no_description() -> None:
    assert description(int) == ""


def test_the_reference_has_every_table_and_says_what_options_take() -> None:
    text = reference()
    for table in (
        "serve",
        "upstream",
        "upstream.timeouts",
        "headers",
        "log",
        "auth",
        "[auth.keys]",
        "[targets]",
        "targets.compat",
        "[targets.prices]",
    ):
        assert f"### `[{table}]`\n" in text
    assert "| `port` | a whole number from 0 to 65535 | `8080` | Port" in text
    assert "| `url` | a string |  | Base URL" in text
    assert "| `id` | a string that is not empty | needed | What logs" in text
    assert "None" not in text
    assert text.endswith("|\n")
