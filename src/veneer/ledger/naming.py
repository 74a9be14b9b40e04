"""What accounts and limits are told from others by, as every database has it written."""

import msgspec

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(tuple[str, ...]).decode


def written(partition: tuple[str, ...]) -> str:
    """Return a partition as it is written."""
    return _encode([clean(part) for part in partition]).decode()


def read(partition: str) -> tuple[str, ...]:
    """Return a partition from how it is written."""
    return _decode(partition)


def clean(text: str) -> str:
    """Return a text as UTF-8 has it, which does not know lone surrogates."""
    return text.encode("utf-8", "replace").decode()
