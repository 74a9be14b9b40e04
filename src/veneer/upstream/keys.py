"""Keys: what an upstream is shown; several take turns, and one that is refused rests."""

from collections.abc import Callable, Sequence
from time import monotonic

from veneer.wire import fields

Field = tuple[bytes, bytes]


def is_key(text: str) -> bool:
    """Whether a key may stand in a header field: one word of visible ASCII."""
    return bool(text) and text.isascii() and text.isprintable() and " " not in text


def key_field(header: bytes, key: str) -> Field:
    """Return the field that shows a key: in Authorization as a Bearer token, bare in any other.

    `header` is in small letters. Raises ValueError for a key that no field can hold.
    """
    if not is_key(key):
        raise ValueError(
            "An upstream key is empty or holds characters that no header may have: "
            "look for a line end or a space in it."
        )
    scheme = "Bearer " if header == b"authorization" else ""
    return header, (scheme + key).encode("ascii")


def key_header(name: str) -> bytes:
    """Return the name of a field for keys, in small letters; ValueError for one that is none."""
    header = name.lower().encode()
    if not fields.is_token(header):
        raise ValueError(f"{name!r} cannot name a header field: see api_key_header.")
    return header


class Keys:
    """The header field that holds an upstream's key, with each of its keys in turn.

    `header` is the field's name; in Authorization a key stands as a Bearer token (RFC 6750 §2.1),
    bare in any other. `rest` is how long, in seconds, a key that was refused is passed over where
    the upstream does not say; while all of them rest, the one that rests shortest is used. Raises
    ValueError for no key, or one that cannot stand in a header, or no header.
    """

    def __init__(
        self,
        keys: Sequence[str],
        *,
        header: str = "Authorization",
        rest: float = 60.0,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        if not keys:
            raise ValueError("No upstream key is given: leave api_key out, or name one.")
        name = key_header(header)
        self._fields = tuple(key_field(name, key) for key in keys)
        self._rest = rest
        self._clock = clock
        self._turn = -1
        self._resting: dict[Field, float] = {}

    def next(self) -> Field:
        """Return the field with the key whose turn it is."""
        count = len(self._fields)
        if not self._resting:
            self._turn = (self._turn + 1) % count
            return self._fields[self._turn]
        now = self._clock()
        self._resting = {field: until for field, until in self._resting.items() if until > now}
        for step in range(1, count + 1):
            turn = (self._turn + step) % count
            if self._fields[turn] not in self._resting:
                self._turn = turn
                return self._fields[turn]
        return min(self._resting, key=self._resting.__getitem__)

    def strike_out(self, field: Field, seconds: float | None = None) -> None:
        """Let the key of a field rest, for as long as the upstream asked, or by default."""
        if len(self._fields) > 1:
            self._resting[field] = self._clock() + (self._rest if seconds is None else seconds)

    def __repr__(self) -> str:
        """Tell how many, never which."""
        return f"Keys({len(self._fields)})"
