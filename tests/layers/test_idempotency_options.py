"""What the idempotency layer may be told, and what it refuses to be."""

import math
from typing import Any

import pytest

from tests.layers.keyed import Watched, keyed, layer, whole
from veneer.layers.idempotency import IdempotencyMiddleware


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"share": "user"}, "share is 'user': give one of team, key, all."),
        ({"streams": True}, "streams is True: give one of dialect, record, ignore."),
        ({"in_flight": "wait"}, "in_flight is 'wait': give one of follow, conflict."),
        ({"keep": ""}, "keep is '': give one of success, answers."),
        ({"oversized": None}, "oversized is None: give one of refuse, pass."),
        ({"on_failure": "local"}, "on_failure is 'local': give one of open, closed."),
        ({"ttl": 0}, "ttl is 0: give a positive number of seconds."),
        ({"ttl": math.nan}, "ttl is nan"),
        ({"lease": -1.0}, "lease is -1.0: give a positive number of seconds."),
        ({"lease": math.inf}, "lease is inf"),
        ({"detach": -0.1}, "detach is -0.1: give 0 or a positive number of seconds."),
        ({"max_request": 0}, "max_request is 0: give a positive number of bytes."),
        ({"max_answer": -1}, "max_answer is -1: give a positive number of bytes."),
        ({"names": []}, "names has no field: name header fields such as 'Idempotency-Key'."),
        ({"names": ["A-Key", "a key", "ключ"]}, "names has 'a key', 'ключ': name"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011 - the sentence is looked at below
        IdempotencyMiddleware(whole(), **options)
    assert str(refused.value).startswith(sentence)


@pytest.mark.parametrize("names", ["X-Key", ["x-key"], ("Other", "X-KEY")])
async def test_a_key_may_have_a_field_of_another_name(names: Any) -> None:
    stack = layer(whole(b"{}"), store=Watched(), names=names)
    for replayed in (None, "true"):
        answer = await keyed(key=(b"x-key", b"k-1")).run(stack)
        assert answer.header("idempotent-replayed") == replayed
    assert (await keyed().run(stack)).header("idempotent-replayed") is None
