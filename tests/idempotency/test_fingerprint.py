"""Fingerprints of requests: the same for the same request, whatever its spelling."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.idempotency.fingerprints import of
from tests.idempotency.spelling import VALUES, Spelling, same
from veneer.dialects import Dialect
from veneer.dialects.aurous import aurous
from veneer.facts import SCOPE_KEY


@pytest.mark.parametrize(
    "spelling",
    [
        '{"a":1,"b":[true,null,"é/"]}',
        '{"b":[true,null,"é/"],"a":1}',
        ' {\n"a" : 1 ,\r\n\t"b" : [ true , null , "é/" ] } ',
        '{"a":1.0,"b":[true,null,"\\u00e9\\/"]}',
        '{"a":1e0,"b":[true,null,"\\u00E9/"]}',
        '{"a":10E-1,"b":[true,null,"é\\u002f"]}',
        '{"\\u0061":0.1e+1,"b":[true,null,"é/"]}',
        '{"a":2,"b":0,"b":[true,null,"é/"],"a":1}',
    ],
)
def test_how_json_is_spelled_makes_no_difference(spelling: str) -> None:
    assert of(spelling.encode()) == of('{"a":1,"b":[true,null,"é/"]}'.encode())


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("[1,2]", "[2,1]"),
        ("[1]", '["1"]'),
        ("[0.5]", '["0.5"]'),
        ("[0.5]", '["5e-1"]'),
        ('{"a":null}', "{}"),
        ("[0]", "[false]"),
        ("[[],[]]", "[[[]]]"),
        ('{"a":{"b":1},"c":2}', '{"a":{"b":1,"c":2}}'),
        ("[1.5]", "[15]"),
        ("[1]", "[-1]"),
        ("[0.1]", "[0.10000000000000000001]"),
        ("[1]", "[1.00000000000000000001]"),
        ("[1e400]", "[1e401]"),
        ("[1e400]", "[-1e400]"),
        ("[1e-400]", "[0]"),
        ("[1e-400]", "[1e-401]"),
        ("[9007199254740992]", "[9007199254740993]"),
        ("[9007199254740992.0]", "[9007199254740993.0]"),
        ("[18446744073709551616]", "[18446744073709551617]"),
        (f"[{'9' * 400}]", f"[{'9' * 399}8]"),
        (f"[{'9' * 9000}]", f"[{'9' * 8999}8]"),
        (f"[1e{'9' * 9000}]", f"[1e{'9' * 8999}8]"),
        ('["\\ud83d"]', '["\\ude00"]'),
        ('["é"]', '["e\u0301"]'),
    ],
)
def test_another_value_is_another_request(one: str, other: str) -> None:
    assert of(one.encode()) != of(other.encode())


@pytest.mark.parametrize(
    "spellings",
    [
        ["0", "-0", "0.0", "-0.0", "0e5", "0.000E-7"],
        ["100", "1e2", "1E+2", "1.0e2", "0.1e3", "1000e-1", "100.000"],
        ["-0.05", "-5e-2", "-0.0500", "-50E-3"],
        ["18446744073709551616", "18446744073709551616.0", "1844674407370955161.6e1"],
        ["1e400", "10e399", "0.01e402", "1.00e+400"],
        ["1e30", "1" + "0" * 30],
        ["0.1", "0.1" + "0" * 5000],
        ["1", "1." + "0" * 5000],
    ],
)
def test_how_a_number_is_written_makes_no_difference(spellings: list[str]) -> None:
    assert len({of(f'{{"n":{spelling}}}'.encode()) for spelling in spellings}) == 1


@given(st.data(), VALUES)
def test_any_two_spellings_of_a_value_have_one_fingerprint(data: st.DataObject, value: Any) -> None:
    one, other = (Spelling(data).write([value]).encode() for _ in range(2))
    assert of(one) == of(other), (one, other)


@given(st.data(), VALUES, VALUES)
@example(None, [1, True], [1, 1])
@example(None, [0], [False])
def test_only_the_same_values_have_one_fingerprint(
    data: st.DataObject | None, one: Any, other: Any
) -> None:
    def write(value: Any) -> bytes:
        if data is None:
            return json.dumps(value).encode()
        return Spelling(data).write(value).encode()

    assert (of(write(one)) == of(write(other))) is same(one, other)


@given(
    st.binary(max_size=200) | st.text('{}[]",:0123456789.eE+-\\u tnf', max_size=60).map(str.encode)
)
@example(b"[" * 60_000)
@example(b'{"a":' * 10_000 + b"1" + b"}" * 10_000)
@example(b"\xef\xbb\xbf{}")
@example(b"1e" + b"9" * 5000)
@example(b"[NaN,Infinity,-Infinity]")
def test_any_body_has_a_fingerprint_of_its_own(body: bytes) -> None:
    assert of(body) == of(body)
    assert of(body) != of(body + b"x")


@pytest.mark.parametrize(
    "body", [b"[1,2", b'{"a":"\xff"}', b"[" * 5000 + b"]" * 5000, b"[NaN]", b"", b'"\\ud800"']
)
def test_what_cannot_be_read_counts_as_its_bytes(body: bytes) -> None:
    assert of(body) == of(body)
    assert of(body) != of(b" " + body)


def test_another_version_of_the_api_is_another_request() -> None:
    spoken: dict[str, Any] = {SCOPE_KEY: {Dialect: aurous()}}
    plain = of(b"{}", **spoken)
    older = of(b"{}", headers=[(b"aurous-version", b"2026-01-01")], **spoken)
    assert plain != older
    assert of(b"{}") == of(b"{}", headers=[(b"aurous-version", b"2026-01-01")])
