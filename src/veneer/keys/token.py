"""Tokens: what a key looks like to whoever holds it.

`<prefix>_<30 random characters><6 characters of checksum>`, in the manner of GitHub's tokens: the
underscore lets a double click select the whole, the prefix tells scanners of leaked secrets whose
it is, and the checksum (CRC-32 of the 30, base 62) tells a mistyped key from an unknown one without
asking anybody. It is no secret: whoever guesses can compute it.
"""

import re
import secrets
import zlib

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
DEFAULT_PREFIX = "vnr"
RANDOM_LENGTH = 30
CHECKSUM_LENGTH = 6
MAX_LENGTH = 512

_BODY_LENGTH = RANDOM_LENGTH + CHECKSUM_LENGTH
_PREFIX = re.compile("[A-Za-z](?:_?[A-Za-z0-9]){0,31}", re.ASCII)
_BODY = re.compile(f"[0-9A-Za-z]{{{_BODY_LENGTH}}}", re.ASCII)
_FOREIGN = re.compile(f"[!-~]{{1,{MAX_LENGTH}}}", re.ASCII)
_FOREIGN_PREFIX = re.compile("[A-Za-z0-9]{1,7}[-_]", re.ASCII)
# The last four of anything shorter would be too much of it.
_LONG_ENOUGH = 20


def checked_prefix(prefix: str) -> str:
    """Return the prefix. Raises ValueError where it cannot be one."""
    if not _PREFIX.fullmatch(prefix):
        raise ValueError(
            f"The prefix of keys, {prefix!r}, must be up to 32 ASCII letters and digits in words "
            "joined by single underscores, a letter first: vnr, or acme_live."
        )
    return prefix


def checksum(random: str) -> str:
    """Return the six characters that belong behind the random ones."""
    rest = zlib.crc32(random.encode("ascii"))
    characters = ""
    for _ in range(CHECKSUM_LENGTH):
        rest, digit = divmod(rest, len(ALPHABET))
        characters = ALPHABET[digit] + characters
    return characters


def new_token(prefix: str = DEFAULT_PREFIX) -> str:
    """Return a new secret of 178 random bits. Raises ValueError for an impossible prefix."""
    random = "".join(secrets.choice(ALPHABET) for _ in range(RANDOM_LENGTH))
    return f"{checked_prefix(prefix)}_{random}{checksum(random)}"


def is_well_formed(token: str, prefix: str = DEFAULT_PREFIX) -> bool:
    """Whether this is a token of ours, with this prefix and the right checksum."""
    start = f"{prefix}_"
    return token.startswith(start) and _is_body(token[len(start) :])


def is_possible(token: str, prefix: str = DEFAULT_PREFIX) -> bool:
    """Whether somebody may have been given this token.

    One that begins with our prefix must be well formed. Any other is a foreign one, imported from
    elsewhere: 1 to 512 visible ASCII characters.
    """
    if token.startswith(f"{prefix}_"):
        return is_well_formed(token, prefix)
    return _FOREIGN.fullmatch(token) is not None


def shown(token: str) -> str:
    """Return what may be shown of a token: `vnr_…Q7xZ`, its prefix and its last four characters.

    Of a foreign token the prefix is what stands before a first `-` or `_` near its beginning. A
    token of fewer than 20 characters shows none of its end.
    """
    if token[-_BODY_LENGTH - 1 : -_BODY_LENGTH] == "_" and _is_body(token[-_BODY_LENGTH:]):
        return f"{token[:-_BODY_LENGTH]}…{token[-4:]}"
    prefix = _FOREIGN_PREFIX.match(token)
    end = token[-4:] if len(token) >= _LONG_ENOUGH else ""
    return f"{prefix.group() if prefix and end else ''}…{end}"


def _is_body(text: str) -> bool:
    if not _BODY.fullmatch(text):
        return False
    return text[RANDOM_LENGTH:] == checksum(text[:RANDOM_LENGTH])
