"""Names of models that stand below a call's own."""

import msgspec
import pytest

from veneer.catalog.hidden import hidden_models

DEEP = b"[" * 100_000 + b"]" * 100_000


@pytest.mark.parametrize(
    ("body", "names"),
    [
        (b'{"tools":[{"type":"image_generation","model":"a"}]}', ["a"]),
        (b'{"t\\u006fols":[{"m\\u006fdel":"a"}],"moderation":{"model":"b"}}', ["a", "b"]),
        (b'{"tools":[{"type":"function","function":{"model":"a"}}]}', []),
        (b'{"messages":[{"tools":[{"model":"a"}]}]}', []),
        (b'{"tools":[{"model":1},"model"],"moderation":"model"}', []),
        (b'{"messages":"tools"}', []),
        (b"", []),
        (b'{"messages":%b}' % DEEP, []),
    ],
)
def test_names_are_found_where_they_mean_a_model(body: bytes, names: list[str]) -> None:
    assert list(hidden_models(body)) == names


def test_what_may_hide_a_name_and_cannot_be_read_does_not_pass() -> None:
    with pytest.raises(RecursionError):
        hidden_models(b'{"messages":%b,"tools":[]}' % DEEP)
    with pytest.raises(msgspec.DecodeError):
        hidden_models(b'{"tools":[')
