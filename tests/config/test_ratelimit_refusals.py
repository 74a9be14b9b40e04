"""What is said of a `[ratelimit]` that cannot be."""

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.asgi import Responder
from tests.config.test_ratelimit import built, document, limiting, policy
from veneer import ConfigurationError
from veneer.cli import main
from veneer.config import build, parse

UPSTREAM = '[upstream]\nurl = "http://localhost:8000/v1"\n'


def refused(given: dict[str, Any]) -> str:
    """Return what is said of a configuration that cannot be."""
    with pytest.raises(ConfigurationError) as caught:
        build(parse(given), Responder())
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (policy("5/fortnight"), "[[ratelimit.policies]] number 1: limit: '5/fortnight' is no"),
        (policy("0/minute"), "number 1: limit: '0/minute' has a limit that is not from 1"),
        (policy("-5/minute"), "number 1: limit: '-5/minute' is no limit of requests"),
        (policy("99999999999999999/day"), "has a limit that is not from 1 to"),
        (policy("1/minute; 2/minute"), "has two limits for 60 seconds"),
        (policy(5), "number 1: limit: 5 is no limit of requests"),
        (policy(0), "[[ratelimit.policies]] number 1 limit must be"),
        (policy(""), "[[ratelimit.policies]] number 1 limit must be"),
        (policy(5, unit="calls"), 'number 1 unit must be "concurrent-requests" or "requests"'),
        (policy(name="a:b"), "[[ratelimit.policies]] a:b: name is 'a:b'"),
        (policy(partition="nobody"), "number 1: partition has 'nobody': there are key, team"),
        (policy(partition=["peer", "peer"]), "number 1: partition has a name twice"),
        (policy(partition=[]), "number 1 partition must be"),
        (policy(models={"": "1/day"}), "number 1: models has ''"),
        (policy(models={"m": "x"}), "number 1: models['m']: 'x' is no limit"),
        (policy(operations={"chat": "1/day"}), "number 1: operations: 'chat' is no operation"),
        (policy("9/day", unit="tokens", operations={"models": "1/day"}), "tokens are not counted"),
        (policy(2, unit="concurrent-requests", strict=True), "strict is for windows"),
        (policy(on_failure="wait"), 'on_failure must be "closed" or "local" or "open"'),
        (policy(limits="1/day"), "has no 'limits'; did you mean 'limit'?"),
        ({"partition": "all"}, "[[ratelimit.policies]] number 1 needs 'limit'"),
    ],
)
def test_a_policy_that_cannot_be_is_said_by_its_name(given: dict[str, Any], sentence: str) -> None:
    said = refused(document(given))
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"store": "mysql://h/d"}, "[ratelimit] store: No limiter has a URL that begins mysql://"),
        ({"store": "shared://relative"}, "[ratelimit] store: The limiter of one machine's workers"),
        ({"store": "redis://:hush@h"}, "[ratelimit] store has a password in it"),
        ({"store": "env:UNSET"}, "[ratelimit] store: the environment variable UNSET is not set"),
        ({"store": ""}, "[ratelimit] store must be a string that is not empty"),
        ({"timeout": 0}, "[ratelimit] timeout must be a number above 0"),
        ({"timeout": float("inf")}, "[ratelimit] timeout must be a number above 0"),
        ({"estimate": "guess"}, '[ratelimit] estimate must be "bound" or "openai"'),
        ({"output_tokens": 0}, "[ratelimit] output_tokens must be a whole number of at least 1"),
        ({"upstream_fields": "show"}, '[ratelimit] upstream_fields must be "hide" or "merge"'),
        ({"draft": "draft-99"}, '[ratelimit] draft must be "draft-11" or "draft-7"'),
        ({"max_wait": -1}, "[ratelimit] max_wait must be a number from 0 to 600"),
        ({"max_wait": float("nan")}, "[ratelimit] max_wait must be a number from 0 to 600"),
        ({"max_waiting": 0}, "[ratelimit] max_waiting must be a whole number of at least 1"),
        ({"policy": []}, "[ratelimit] has no 'policy'; did you mean 'policies'?"),
    ],
)
def test_an_option_that_cannot_be_is_said(options: dict[str, Any], sentence: str) -> None:
    said = refused(document(policy(), **options))
    assert sentence in said
    assert "hush" not in said


def test_two_policies_of_one_name_are_refused() -> None:
    assert refused(document(policy(), policy("5/day"))) == (
        "[[ratelimit.policies]] has two that are called 'requests': give each a name."
    )
    assert len(limiting(built(policy(), policy("5/day", name="daily")))) == 1


def test_redis_names_the_extra_that_it_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    assert "veneer[redis]" in refused(document(policy(), store="redis://localhost"))


@pytest.mark.parametrize("store", [None, "memory://"])
def test_several_workers_do_not_each_count_alone(store: str | None) -> None:
    options = {} if store is None else {"store": store}
    said = refused(document(policy(), **options) | {"serve": {"workers": 2}})
    assert said.startswith("[ratelimit] store is ")
    assert "give shared:///path or redis://host" in said


@pytest.mark.parametrize(
    ("partition", "shown"),
    [("key", '"key"'), ("team", '"team"'), (["model", "user"], '"model" and "user"')],
)
def test_who_is_asked_for_no_key_cannot_be_counted_by_it(partition: Any, shown: str) -> None:
    assert refused(document(policy(), policy(name="mine", partition=partition))) == (
        f"[[ratelimit.policies]] mine: partition is {shown}, and callers are asked for no key: say "
        'partition = "peer", which is their address, or "all"; or have them asked for keys, by '
        "[auth] or --store, and not --no-auth."
    )


def check(folder: Path, text: str) -> int:
    path = folder / "veneer.toml"
    path.write_text(UPSTREAM + text)
    return main(["check", str(path)])


def test_check_judges_limits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    limits = '[[ratelimit.policies]]\nlimit = "60/minute; 10000/day"\npartition = "peer"\n'
    assert check(tmp_path, limits) == 0
    assert check(tmp_path, f"[serve]\nworkers = 3\n{limits}") == 0
    assert check(tmp_path, f'[serve]\nworkers = 3\n[ratelimit]\nstore = "memory://"\n{limits}') == 2
    assert "several workers each count alone" in capsys.readouterr().err
    assert check(tmp_path, limits.replace("peer", "key")) == 2
    assert capsys.readouterr().err.startswith(
        'veneer: [[ratelimit.policies]] number 1: partition is "key", and callers are asked for no'
    )
