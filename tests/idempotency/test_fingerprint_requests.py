"""Fingerprints of requests: what counts besides the value of a JSON body, and large ones."""

import asyncio
import re
import threading
from typing import Any

import pytest

from tests.asgi import http_scope
from tests.idempotency.fingerprints import of
from veneer.idempotency import fingerprint
from veneer.idempotency.fingerprint import INLINE, MAX_PARTS, MAX_VALUES, SIZE, fingerprint_of

JSON_TYPE = (b"content-type", b"application/json")
FORM = "/v1/audio/transcriptions"


def multipart(boundary: str, quote: str = "") -> dict[str, Any]:
    """Return the field of a form with this boundary."""
    value = f"multipart/form-data; boundary={quote}{boundary}{quote}"
    return {"headers": [(b"content-type", value.encode())]}


def test_method_path_and_query_count() -> None:
    body = b"{}"
    prints = {
        of(body),
        of(body, "/v1/embeddings"),
        of(body, query_string=b"api-version=1"),
        of(body, query_string=b"api-version=2"),
        of(body, "/v1/files/a"),
        of(body, "/v1/files/b"),
        of(body, "/elsewhere"),
    }
    assert len(prints) == 7
    scope = http_scope("PUT", "/v1/chat/completions")
    assert asyncio.run(fingerprint_of(scope, body)) not in prints


def test_the_base_and_fields_do_not_count() -> None:
    assert of(b"{}") == of(b"{}", "/chat/completions/")
    assert of(b"{}") == of(b"{}", headers=[(b"x-request-id", b"1")])


def test_uploads_count_as_their_bytes_even_if_they_look_like_json() -> None:
    assert of(b'{"a":1}', FORM) != of(b'{"a":1.0}', FORM)


def test_json_for_an_operation_of_uploads_counts_as_its_value() -> None:
    one, other = b'{"a":1}', b'{"a": 1.0}'
    path = "/v1/images/edits"
    assert of(one, path, headers=[JSON_TYPE]) == of(other, path, headers=[JSON_TYPE])
    assert of(one, path) != of(other, path)


FILE = b'--%b\r\ncontent-disposition: form-data; name="file"\r\n\r\n%b\r\n--%b--\r\n'


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_form_that_is_sent_again_with_a_new_boundary_is_the_same(quote: str) -> None:
    one = of(FILE % (b"one", b"sound", b"one"), FORM, **multipart("one"))
    other = of(FILE % (b"other", b"sound", b"other"), FORM, **multipart("other", quote))
    assert one == other
    assert one != of(FILE % (b"one", b"noise", b"one"), FORM, **multipart("one"))


def test_parts_of_a_form_do_not_run_into_each_other() -> None:
    one = of(b"--x\r\n\r\na\r\n--x\r\n\r\n--x--", FORM, **multipart("x"))
    other = of(b"--x\r\n\r\na\r\n\r\n--x\r\n--x--", FORM, **multipart("x"))
    assert one != other


def test_a_form_of_very_many_parts_is_told_from_others() -> None:
    parts = b"--x" * (MAX_PARTS * 2)
    assert of(parts, FORM, **multipart("x")) != of(parts + b"--x", FORM, **multipart("x"))


@pytest.mark.parametrize(
    "value", [b"multipart/form-data", b"multipart/form-data; boundary=", b"text/x; boundary=x"]
)
def test_a_form_without_a_boundary_counts_as_its_bytes(value: bytes) -> None:
    headers = [(b"content-type", value)]
    assert of(b"--x", FORM, headers=headers) != of(b"--y", FORM, headers=headers)
    assert of(b"--x", FORM, headers=headers) == of(b"--x", FORM)


async def large(body: bytes) -> bytes:
    """Return the fingerprint of a chat with this body."""
    assert len(body) > INLINE
    return await fingerprint_of(http_scope(headers=[JSON_TYPE]), body)


async def test_a_large_body_is_digested_in_a_thread_and_counts_the_same() -> None:
    filler = "x" * INLINE
    one = await large(f'{{"a":"{filler}","b":1}}'.encode())
    assert one == await large(f'{{"b":1.0, "a":"{filler}"}}'.encode())
    assert one != await large(f'{{"b":2, "a":"{filler}"}}'.encode())
    assert len(one) == SIZE


async def test_the_loop_goes_on_while_a_large_body_is_digested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, may_end = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()
    canonical = fingerprint._canonical

    def slow(body: bytes) -> bytes | None:
        loop.call_soon_threadsafe(begun.set)
        may_end.wait(10)
        return canonical(body)

    monkeypatch.setattr(fingerprint, "_canonical", slow)
    task = asyncio.create_task(large(b" " * INLINE + b"[1]"))
    await asyncio.wait_for(begun.wait(), 5)
    assert not task.done()
    may_end.set()
    found = await task
    monkeypatch.undo()
    assert found == await large(b" " * INLINE + b"[1.0]")


async def test_a_body_of_too_many_values_counts_as_its_bytes() -> None:
    few = b"[" + b"1," * (MAX_VALUES - 2) + b"1]"
    assert await large(few) == await large(few + b" ")
    many = b"[" + b"1," * MAX_VALUES + b"1]"
    assert await large(many) == await large(many)
    assert await large(many) != await large(many + b" ")


def test_a_number_of_few_characters_cannot_become_a_large_one() -> None:
    written = fingerprint._canonical(b"[" + b",".join([b"1e4000"] * 1000) + b"]")
    assert written is not None
    assert len(written) < 10_000
    assert not re.search(rb"0{100}", written)
