"""Secrets that are given to a command: by where they are, typed, or on standard input."""

import getpass
import sys

from veneer.config.secret import is_reference, read_secret
from veneer.wiring import ConfigurationError

# A key is 2048 characters at most; a file given by mistake is not read whole.
MAX_SECRET = 4096


def given_secret(reference: str | None, option: str) -> str:
    """Return a key from where `option` says it is, else from whoever types it, or is piped in.

    Raises `ConfigurationError`, with nothing of it.
    """
    if reference is not None:
        if not is_reference(reference):
            raise ConfigurationError(f"{option} takes env:NAME or file:PATH, never the key itself.")
        return read_secret(reference, option)
    if sys.stdin.isatty():
        return getpass.getpass("Key: ").strip()
    secret = sys.stdin.read(MAX_SECRET).strip()
    if not secret:
        raise ConfigurationError("there is no key on standard input.")
    return secret
