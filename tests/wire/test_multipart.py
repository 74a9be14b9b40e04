"""A field of a form, found however its bytes come."""

from email.message import Message
from io import BytesIO

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from veneer.wire.multipart import (
    MAX_HEAD,
    MAX_PARTS,
    MAX_VALUE,
    FieldError,
    FormError,
    FormField,
    boundary_of,
)

BOUNDARY = b"0123abcd"


def part(disposition: bytes, content: bytes, *more: bytes) -> bytes:
    head = b"\r\n".join((b"Content-Disposition: " + disposition, *more))
    return b"--%b\r\n%b\r\n\r\n%b\r\n" % (BOUNDARY, head, content)


def named(name: bytes, content: bytes, *more: bytes) -> bytes:
    return part(b'form-data; name="%b"' % name, content, *more)


def form(*parts: bytes, tail: bytes = b"\r\n") -> bytes:
    return b"".join(parts) + b"--" + BOUNDARY + b"--" + tail


FILE = part(b'form-data; name="file"; filename="a.wav"', b"RIFF\r\n\0", b"Content-Type: audio/wav")
MODEL = named(b"model", b"whisper-1")


def read(data: bytes, *cuts: int) -> FormField:
    """Feed a form that comes in pieces."""
    field = FormField("model", BOUNDARY)
    at = 0
    for cut in (*sorted(cuts), len(data)):
        field.feed(data[at:cut])
        at = cut
    return field


def outcome(data: bytes, *cuts: int) -> tuple[object, object]:
    try:
        field = read(data, *cuts)
    except FormError as error:
        return type(error), str(error)
    return field.found, field.ended


@pytest.mark.parametrize("parts", [(MODEL, FILE), (FILE, MODEL), (MODEL,)])
def test_the_field_is_found_wherever_it_stands(parts: tuple[bytes, ...]) -> None:
    data = form(*parts)
    field = read(data)
    assert field.found is not None
    assert field.found.value == b"whisper-1"
    assert data[field.found.start : field.found.end] == b"whisper-1"
    assert field.ended


def test_it_is_found_before_the_rest_has_come() -> None:
    field = FormField("model", BOUNDARY)
    field.feed(MODEL + b"--" + BOUNDARY + b"\r\n")
    assert field.found is not None
    assert not field.ended


def test_a_form_without_the_field_has_none() -> None:
    field = read(form(FILE))
    assert (field.found, field.ended) == (None, True)


PIECES = st.sampled_from(
    [
        MODEL,
        FILE,
        named(b"prompt", b""),
        b"--" + BOUNDARY + b"--",
        b"--" + BOUNDARY,
        b"\r\n",
        b"\r\n\r\n",
        b"-",
        b"x" * MAX_VALUE,
        b"y" * MAX_HEAD,
        b'Content-Disposition: form-data; name="model"\r\n',
    ]
) | st.binary(max_size=4)


@example([MODEL, FILE, MODEL], [30, 31])
@example([b"--" + BOUNDARY + b"\r\n", b"y" * MAX_HEAD, b"\r\n\r\n"], [MAX_HEAD + 15])
@example([MODEL[:-11], b"x" * MAX_VALUE, b"\r\n", b"--" + BOUNDARY + b"--"], [MAX_VALUE + 70])
@given(st.lists(PIECES, max_size=6), st.lists(st.integers(0, 400), max_size=6))
def test_how_a_form_is_cut_makes_no_difference(pieces: list[bytes], cuts: list[int]) -> None:
    data = b"".join(pieces)
    whole = outcome(data)
    assert outcome(data, *(cut for cut in cuts if cut <= len(data))) == whole
    if whole[0] is not FormError:
        assert outcome(data, *range(len(data) if len(data) < 1000 else 0)) == whole


NAMES = st.text("abmodel[]-_ é", min_size=1, max_size=8).filter(
    lambda name: name.strip().lower() != "model"
)


@given(
    fields=st.dictionaries(NAMES, st.text(max_size=20), max_size=3),
    model=st.text(min_size=1, max_size=20),
    file=st.binary(max_size=300),
    filename=st.text("a.;= é", min_size=1, max_size=9),
)
def test_forms_that_httpx_writes_are_read(
    fields: dict[str, str], model: str, file: bytes, filename: str
) -> None:
    request = httpx.Request(
        "POST",
        "http://x",
        data={**fields, "model": model},
        files={"file": (filename, BytesIO(file), "audio/wav")},
    )
    data = request.read()
    field = FormField("model", boundary_of(request.headers["content-type"].encode()))
    field.feed(data)
    assert field.found is not None
    assert field.found.value == model.encode()
    assert data[field.found.start : field.found.end] == model.encode()
    assert field.ended


@pytest.mark.parametrize(
    "part_of_model",
    [
        MODEL,
        part(b"form-data; name=model", b"whisper-1"),
        part(b'Form-Data;name="model"', b"whisper-1"),
        named(b"model", b"whisper-1", b"Content-Type: text/plain; charset=UTF-8"),
        named(b"model", b"whisper-1", b"content-transfer-encoding: 8BIT"),
        named(b"model", b"whisper-1", b"Content-Length: 9"),
    ],
)
def test_the_ways_in_which_clients_write_the_field_are_read(part_of_model: bytes) -> None:
    found = read(form(FILE, part_of_model)).found
    assert found is not None
    assert found.value == b"whisper-1"


@pytest.mark.parametrize(
    "data",
    [
        form(MODEL, FILE, MODEL),
        form(MODEL, named(b"Model", b"x")),
        form(named(b" model", b"x")),
        form(MODEL, named(b"model[]", b"x")),
        form(named(b"model[0]", b"x"), MODEL),
        form(part(b'form-data; name="model"; filename="m"', b"whisper-1")),
        form(part(b"form-data; name=\"model\"; filename*=utf-8''m", b"whisper-1")),
        form(named(b"model", b"d2hpc3Blcg==", b"Content-Transfer-Encoding: base64")),
        form(named(b"model", b"x", b"Content-Type: text/plain; charset=utf-16")),
        form(named(b"model", b"x", b"Content-Type: text/plain; charset*=utf-8''utf-16")),
        form(named(b"model", b"x" * (MAX_VALUE + 1))),
    ],
)
def test_a_field_that_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(FieldError):
        read(data)


@pytest.mark.parametrize(
    "data",
    [
        b"preamble\r\n" + form(MODEL),
        b"\r\n" + form(MODEL),
        b"{}",
        form(named(b"mod\\el", b"x")),
        form(named(b"mod%65l", b"x")),
        form(part(b"form-data; name*=utf-8''model", b"x")),
        form(part(b'form-data; name="a"; name="model"', b"x")),
        form(part(b'form-data; name="a"; filename="\\"; name=model; x="', b"x")),
        form(part(b'form-data; name="a"; filename="; name=model"', b"x")),
        form(part(b'form-data; filename="a; name=model"', b"x")),
        form(part(b'attachment; name="model"', b"x")),
        form(part(b"form-data", b"x")),
        form(part(b'form-data; name="a"', b"x", b'Content-Disposition: form-data; name="model"')),
        form(part(b"form-data;\r\n name=model", b"x")),
        form(part(b'form-data; name="a"', b"x", b"a: b\nContent-Disposition: form-data")),
        form(part(b'form-data; name="a"', b"x", b"no field")),
        form(b"--" + BOUNDARY + b"\r\n\r\n\r\n"),
        form(named(b"_charset_", b"utf-16"), MODEL),
        form(named(b"a", b"x\n--" + BOUNDARY + b"\n")),
        form(named(b"a", b"x\r\n--" + BOUNDARY + b" \r\n")),
        form(named(b"a", b"x\r\n--" + BOUNDARY + b"0\r\n")),
        form(b"--%b\r\nContent-Disposition: form-data; name=a\r\n\r\n--" % BOUNDARY, MODEL),
        form(b"--%b\r\nx: --%b\r\n\r\n\r\n" % (BOUNDARY, BOUNDARY)),
        form(MODEL) + form(MODEL),
        form(FILE, tail=b"--" + BOUNDARY),
        form(part(b"form-data; name=a", b"", b"x: " + b"y" * MAX_HEAD)),
        form(*[named(b"a", b"")] * (MAX_PARTS + 1)),
    ],
)
def test_a_form_that_could_be_read_in_two_ways_is_refused(data: bytes) -> None:
    with pytest.raises(FormError):
        read(data)


@pytest.mark.parametrize(
    ("kind", "boundary"),
    [
        (b"multipart/form-data; boundary=----WebKitFormBoundaryAbC", b"----WebKitFormBoundaryAbC"),
        (b'Multipart/Form-Data;charset=utf-8; Boundary="a=b:c"', b"a=b:c"),
    ],
)
def test_a_boundary_is_read(kind: bytes, boundary: bytes) -> None:
    assert boundary_of(kind) == boundary
    message = Message()
    message["content-type"] = kind.decode()
    assert message.get_boundary() == boundary.decode()


@pytest.mark.parametrize(
    "kind",
    [
        b"",
        b"application/json",
        b"multipart/form-data",
        b"multipart/form-data; boundary=",
        b'multipart/form-data; boundary=""',
        b"multipart/form-data; boundary=a; boundary=b",
        b"multipart/form-data; boundary*0=a",
        b"multipart/form-data; boundary=a=b",
        b"multipart/form-data; boundary=a, multipart/form-data; boundary=b",
        b'multipart/form-data; boundary="a\\b"',
        b'multipart/form-data; boundary="a b"',
        b"multipart/form-data; boundary=" + b"a" * 71,
        b"multipart/mixed; boundary=a",
        b"multipart/form-data; boundary=a; charset=utf-7",
        b"multipart/form-data; charset=utf-8; boundary=a; charset=utf-7",
        b'multipart/form-data; boundary=a; charset="unicode_escape"',
    ],
)
def test_what_names_no_boundary_or_several_is_refused(kind: bytes) -> None:
    with pytest.raises(FormError):
        boundary_of(kind)
