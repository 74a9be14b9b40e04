"""The name of a call's model, replaced."""

import json

from hypothesis import given
from hypothesis import strategies as st

from veneer.wire.naming import renamed


def test_nothing_but_the_name_changes() -> None:
    body = b'{"model" : "a",  "messages":[ {"content":"the \\"model\\" a"} ],"n":1.0}'

    assert renamed(body, 'b"c', named=True) == body.replace(b'"a"', b'"b\\"c"', 1)


def test_a_call_that_names_none_gets_one() -> None:
    assert renamed(b'{"input":"x"}', "m", named=False) == b'{"input":"x","model":"m"}'
    assert renamed(b'{"model":null}', "m", named=False) == b'{"model":"m"}'


JSON = st.recursive(
    st.none() | st.text() | st.just("model") | st.integers(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("model"), inner),
    max_leaves=8,
)


@given(
    before=st.dictionaries(st.text(), JSON), after=st.dictionaries(st.text(), JSON), name=st.text()
)
def test_whatever_stands_around_it_one_member_is_replaced(
    before: dict[str, object], after: dict[str, object], name: str
) -> None:
    call = {**before, "model": "old", **{k: v for k, v in after.items() if k != "model"}}
    body = json.dumps(call).encode()

    assert json.loads(renamed(body, name, named=True)) == {**call, "model": name}
