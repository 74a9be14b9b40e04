"""Forms with files (multipart/form-data, RFC 7578): one field, found as the bytes come.

Parsers differ in what they make of a form that is written oddly, and whoever decides by a field
must read the one that the upstream reads. So only the plain form that clients write is taken: no
text before the first boundary, the boundary nowhere but between parts, one name for each part, no
escapes. Anything else is a `FormError`.
"""

import re
from collections.abc import Callable

import msgspec

from veneer.wire import fields

# Bytes of the fields of a part; the longest is the name of a file.
MAX_HEAD = 16 * 1024
# Bytes of the value that is looked for.
MAX_VALUE = 4096
MAX_PARTS = 1000

_PARAMETER = rb"[ \t]*;[ \t]*(%b)=(?:\"([^\"\\]*)\"|([0-9A-Za-z'+_.-]+))"
_TYPE = re.compile(
    rb"multipart/form-data((?:%b)+)[ \t]*" % (_PARAMETER % b"boundary|charset"), re.IGNORECASE
).fullmatch
_TYPE_PARAMETER = re.compile(_PARAMETER % b"boundary|charset", re.IGNORECASE).finditer
_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=?-]{1,70}").fullmatch

# A quote that is escaped in the name of a file is not told from its end by all.
_DISPOSITION = re.compile(
    rb"form-data"
    rb"(?:[ \t]*;[ \t]*(?:"
    rb"name=(?:\"(?P<quoted>[^\"\\%]*)\"|(?P<bare>[^\s\"\\%;,=]+))"
    rb"|filename=(?:\"(?:[^\"\\]|\\(?!\"))*\"|[^\s\"\\;,]+)"
    rb"|filename\*=[^\s\"\\;,]+"
    rb"))+[ \t]*",
    re.IGNORECASE,
).fullmatch
# Also inside quotes: some cut at every semicolon.
_NAMES = re.compile(rb";\s*name\s*\*?\d*\s*\*?\s*=", re.IGNORECASE).findall
_FILE = re.compile(rb";\s*filename\*?=", re.IGNORECASE).search
_STRAY = re.compile(rb"[\r\n\0]").search
_CHARSET = re.compile(rb";\s*charset\s*\*?\d*\s*\*?\s*=\s*\"?([^\s\";]*)", re.IGNORECASE).findall

_PLAIN_ENCODINGS = frozenset([b"7bit", b"8bit", b"binary"])
_PLAIN_CHARSETS = frozenset([b"utf-8", b"us-ascii"])
# The field whose value is the charset of the others (RFC 7578, section 4.6).
_CHARSET_FIELD = b"_charset_"
_CRLF = b"\r\n"


class FormError(Exception):
    """A form that is not written as it has to be; the text is a sentence for its client.

    Whoever reads a body on its way may meet it: so it is none of the exceptions that say more.
    """


class FieldError(FormError):
    """The field that is looked for is there twice, or is none."""


def boundary_of(content_type: bytes) -> bytes:
    """Return what separates the parts, by the Content-Type; FormError where it is no form's."""
    found = _TYPE(content_type)
    parameters = [
        (parameter[1].lower(), parameter[2] or parameter[3] or b"")
        for parameter in (() if found is None else _TYPE_PARAMETER(found[1]))
    ]
    boundaries = [value for name, value in parameters if name == b"boundary"]
    if len(boundaries) != 1 or not _BOUNDARY(boundaries[0]):
        raise FormError("The Content-Type has to be multipart/form-data with one boundary.")
    # Some read names and values in it: in UTF-7, `+AG0AbwBkAGUAbA-` is `model`.
    charsets = (value.lower() for name, value in parameters if name == b"charset")
    if not _PLAIN_CHARSETS.issuperset(charsets):
        raise FormError("The form has to be in UTF-8.")
    return boundaries[0]


class Found(msgspec.Struct, frozen=True):
    """The value of a field, and where it stands in its form."""

    value: bytes
    start: int
    end: int


class FormField:
    """Looks for the field `name` in a form whose parts are separated by `boundary`.

    `feed` it all of the form, in whatever pieces it comes: what is behind the field is looked
    through as well, for a second of its name. `found` is None until the field has come.
    """

    __slots__ = ("_at", "_delimiter", "_name", "_parts", "_rest", "_step", "_wanted", "found")

    def __init__(self, name: str, boundary: bytes) -> None:
        self._name = name.encode()
        self._delimiter = b"--" + boundary
        # What is not judged yet, and where it stands in the form.
        self._rest = b""
        self._at = 0
        self._parts = 0
        # Whether the part that is being read is the one that is looked for.
        self._wanted = False
        self._step: Callable[[], bool] = self._first
        self.found: Found | None = None

    @property
    def ended(self) -> bool:
        """Whether the boundary behind the last part has come."""
        return self._step == self._epilogue

    def feed(self, data: bytes) -> None:
        """Look through the next bytes of the form; raises `FormError`."""
        self._rest += data
        while self._step():
            pass

    def _first(self) -> bool:
        """Take the first boundary, which nothing stands before."""
        size = len(self._delimiter)
        if len(self._rest) < size + 2:
            if not self._delimiter.startswith(self._rest[:size]):
                raise FormError("The form does not begin with its boundary.")
            return False
        if not self._rest.startswith(self._delimiter):
            raise FormError("The form does not begin with its boundary.")
        return self._after(0)

    def _head(self) -> bool:
        """Read the fields of a part, once they have all come."""
        end = self._rest.find(_CRLF + _CRLF)
        # Not whole, it may have three of the four bytes that end it.
        if (len(self._rest) - 3 if end < 0 else end) > MAX_HEAD:
            raise FormError(f"A part of the form has fields of more than {MAX_HEAD} bytes.")
        if end < 0:
            return False
        head = self._rest[:end]
        self._parts += 1
        if self._parts > MAX_PARTS:
            raise FormError(f"The form has more than {MAX_PARTS} parts.")
        if self._delimiter in head:
            raise FormError("The form has its boundary inside of a part.")
        self._wanted = _is_of(head, self._name)
        if self._wanted and self.found is not None:
            raise FieldError(f"The form has the field '{self._name.decode()}' twice.")
        self._drop(end + 4)
        self._step = self._content
        return True

    def _content(self) -> bool:
        """Pass over the content of a part, up to the next boundary."""
        delimiter = self._rest.find(self._delimiter)
        # The boundary may have begun, and a line ends before it.
        end = len(self._rest) - len(self._delimiter) - 1 if delimiter < 0 else delimiter - 2
        if self._wanted and end > MAX_VALUE:
            raise FieldError(f"'{self._name.decode()}' is longer than {MAX_VALUE} bytes.")
        if delimiter < 0:
            if not self._wanted:
                self._drop(max(0, end))
            return False
        if len(self._rest) < delimiter + len(self._delimiter) + 2:
            return False
        if end < 0 or self._rest[end:delimiter] != _CRLF:
            raise FormError("The form has its boundary inside of a part.")
        if self._wanted:
            self.found = Found(self._rest[:end], self._at, self._at + end)
        return self._after(delimiter)

    def _after(self, delimiter: int) -> bool:
        """Go on behind a boundary: with the next part, or with what follows the last."""
        end = delimiter + len(self._delimiter)
        mark = self._rest[end : end + 2]
        if mark == _CRLF:
            self._drop(end + 2)
            self._step = self._head
        elif mark == b"--":
            self._drop(end)
            self._step = self._epilogue
        else:
            raise FormError("The form has its boundary inside of a part.")
        return True

    def _epilogue(self) -> bool:
        """See that nothing behind the last boundary could be taken for a part."""
        if self._delimiter in self._rest:
            raise FormError("The form has parts behind its last boundary.")
        self._drop(max(0, len(self._rest) - len(self._delimiter) + 1))
        return False

    def _drop(self, size: int) -> None:
        self._rest = self._rest[size:]
        self._at += size


def _is_of(head: bytes, name: bytes) -> bool:
    """Whether the fields of a part are those of the field of that name; raises `FormError`."""
    given: dict[bytes, bytes] = {}
    for line in head.split(_CRLF):
        field, colon, value = line.partition(b":")
        key = field.lower()
        if not colon or not fields.is_token(field) or key in given or _STRAY(line):
            raise FormError("The form has a part whose fields cannot be read.")
        given[key] = value.strip(b" \t")
    disposition = given.get(b"content-disposition", b"")
    found = _DISPOSITION(disposition)
    called = None if found is None else found["bare"] or found["quoted"]
    if called is None or len(_NAMES(disposition)) != 1:
        raise FormError("The form has a part without a plain name.")
    if called.lower() == _CHARSET_FIELD:
        raise FormError("The form has to be in UTF-8, and not to name a charset.")
    if called != name:
        # Some read `model[]` as one more value of `model`.
        if called.partition(b"[")[0].strip().lower() == name:
            raise FieldError(f"The form has a field that may be taken for '{name.decode()}'.")
        return False
    encoding = given.get(b"content-transfer-encoding", b"binary").lower()
    charsets = (charset.lower() for charset in _CHARSET(given.get(b"content-type", b"")))
    if (
        _FILE(disposition)
        or encoding not in _PLAIN_ENCODINGS
        or not _PLAIN_CHARSETS.issuperset(charsets)
    ):
        raise FieldError(f"'{name.decode()}' has to be plain text in UTF-8.")
    return True
