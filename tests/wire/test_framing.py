"""Header fields for other bytes."""

from veneer.wire.framing import form_of, uncoded, with_length, without_length

FIELDS = [(b"content-length", b"1"), (b"etag", b'"x"'), (b"a", b"b")]


def test_other_bytes_have_another_length_and_no_etag() -> None:
    assert without_length(FIELDS) == [(b"a", b"b")]
    assert with_length(FIELDS, 12) == [(b"a", b"b"), (b"content-length", b"12")]


def test_plain_bytes_are_asked_for() -> None:
    asked = [(b"accept-encoding", b"gzip"), (b"a", b"b")]
    assert uncoded(asked) == [(b"a", b"b"), (b"accept-encoding", b"identity")]


def test_a_body_is_of_the_first_type_that_is_told_and_coded_unless_it_is_said_not_to_be() -> None:
    plain = (b"content-type", b"Application/JSON; charset=utf-8")
    assert form_of([]) == (b"", False)
    assert form_of([plain, (b"content-type", b"text/html")]) == (b"application/json", False)
    assert form_of([(b"content-encoding", b"gzip"), plain]) == (b"application/json", True)
    coded = [(b"content-encoding", b"identity"), (b"content-encoding", b"gzip")]
    assert form_of(coded) == (b"", False)
