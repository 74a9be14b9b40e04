"""Header fields for other bytes."""

from veneer.wire.framing import uncoded, with_length, without_length

FIELDS = [(b"content-length", b"1"), (b"etag", b'"x"'), (b"a", b"b")]


def test_other_bytes_have_another_length_and_no_etag() -> None:
    assert without_length(FIELDS) == [(b"a", b"b")]
    assert with_length(FIELDS, 12) == [(b"a", b"b"), (b"content-length", b"12")]


def test_plain_bytes_are_asked_for() -> None:
    asked = [(b"accept-encoding", b"gzip"), (b"a", b"b")]
    assert uncoded(asked) == [(b"a", b"b"), (b"accept-encoding", b"identity")]
