"""Routers that cannot be, as configured: what is said of them."""

from typing import Any

import pytest

from veneer.config import build, build_upstream, parse
from veneer.wiring import ConfigurationError

URL = "http://127.0.0.1:9/v1"
A: dict[str, Any] = {"name": "a", "url": URL}
B: dict[str, Any] = {"name": "b", "url": URL}


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"upstream": {"url": URL}}, r"^\[upstream\] is set, and so are \[\[targets\]\]"),
        ({"targets": [A, A]}, r"^\[\[targets\]\] Two targets are called 'a'"),
        ({"targets": [{**A, "weight": 0}, {**B, "weight": 0}]}, "weights of all targets are 0"),
        ({"targets": [{**A, "weight": float("inf")}]}, r"number 1 \(a\) The weight of 'a' is inf"),
        ({"targets": [A, {**B, "url": "ftp://x"}]}, r"number 2 \(b\) 'ftp://x' is no upstream"),
        ({"targets": [{"name": "a"}]}, r"number 1 \(a\) needs one of url, urls and dns"),
        ({"targets": [{**A, "dns": URL}]}, "needs one of url, urls and dns"),
        ({"targets": [{"name": "a", "urls": [URL, URL]}]}, r"number 1 \(a\) A replica is listed t"),
        ({"targets": [{"name": "a", "urls": ["x"]}]}, r"number 1 \(a\) 'x' is no upstream"),
        ({"targets": [{"name": "a", "dns": "x"}]}, r"number 1 \(a\) 'x' is no upstream"),
        ({"targets": [{"name": "a", "dns": URL, "transport": "httpx"}]}, "dns needs our own"),
        ({"targets": [{**A, "name": "ä"}]}, "cannot name a target"),
        ({"targets": [{**A, "api_key": "env:UNSET"}]}, r"\(a\) api_key: .* UNSET is not set"),
        ({"targets": [{**A, "ca_file": "/none.pem"}]}, r"number 1 \(a\) ca_file must name"),
        ({"targets": [{**A, "platform": False}]}, "Nobody has a key for 'a'"),
        (
            {"targets": [{**A, "prices": [{"model": "m", "input": "1"}] * 2}]},
            r"^\[\[targets.prices\]\] of \[\[targets\]\] number 1 \(a\) 'm' has two prices",
        ),
        (
            {"catalog": {"models": [{"id": "k"}]}, "targets": [{**A, "models": ["m"]}]},
            r"^\[\[catalog.models\]\] 'k' is at none of \[\[targets\]\]",
        ),
        (
            {"catalog": {"models": [{"id": "k"}]}, "targets": [{**A, "models": ["k", "m"]}]},
            r"^\[\[targets\]\] 'a' has the model 'm', which \[\[catalog.models\]\] has not",
        ),
        (
            {
                "catalog": {"models": [{"id": "k", "aliases": ["m"]}]},
                "targets": [{**A, "models": ["k", "m"]}],
            },
            "'m', which is an alias of 'k'",
        ),
    ],
)
def test_what_cannot_be_is_said_with_its_table(tables: dict[str, Any], sentence: str) -> None:
    config = parse({"targets": [A, B], **tables})
    with pytest.raises(ConfigurationError, match=sentence):
        build(config)


def test_a_router_without_targets_has_nobody_to_choose_from() -> None:
    with pytest.raises(ConfigurationError, match=r"^\[router\] is set, and there is nobody"):
        build_upstream(parse({"router": {"tries": 2}, "upstream": {"url": URL}}))


@pytest.mark.parametrize(
    ("tables", "sentence"),
    [
        ({"targets": [{"url": URL}]}, r"^\[\[targets\]\] number 1 needs 'name'"),
        ({"targets": [{**A, "weight": float("nan")}]}, "weight must be a number .*, not nan"),
        ({"targets": [{**A, "weight": -1}]}, "weight must be a number of at least 0"),
        ({"targets": [{**A, "modells": "*"}]}, "did you mean 'models'"),
        ({"targets": [{**A, "models": []}]}, r"\[\[targets\]\] number 1 models must be"),
        ({"targets": [{**A, "models": {"m": ""}}]}, "models must be"),
        ({"targets": [{**A, "api_key": "sk-secret"}]}, "never the secret itself"),
        ({"targets": [{**A, "data_policy": "all"}]}, 'data_policy must be "no_training" or'),
        (
            {"targets": [A, {**B, "compat": {"x": 1}}]},
            r"^\[targets.compat\] of \[\[targets\]\] number 2 has no 'x'",
        ),
        (
            {"targets": [A, {**B, "prices": [{"model": "m", "input": 1}]}]},
            r"^\[\[targets.prices\]\] number 1 of \[\[targets\]\] number 2 input must be an amount",
        ),
        ({"router": {"optimize": "price"}}, r"^\[router\] optimize must be"),
        ({"router": {"tries": 0}}, r"^\[router\] tries must be"),
    ],
)
def test_what_is_written_wrong_is_said_with_its_place(
    tables: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence) as caught:
        parse(tables)
    assert "sk-secret" not in str(caught.value)
