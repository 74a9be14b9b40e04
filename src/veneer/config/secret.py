"""Secrets: said by where they are, read when the stack is built, shown to nobody."""

import os
from pathlib import Path
from typing import Any

from veneer.wiring import ConfigurationError

ENV = "env:"
FILE = "file:"


def is_reference(value: Any) -> bool:
    """Whether a value says where a secret is: `env:NAME` or `file:PATH`."""
    return isinstance(value, str) and any(
        value.startswith(prefix) and len(value) > len(prefix) for prefix in (ENV, FILE)
    )


def anchored(reference: str, folder: Path) -> str:
    """Return the reference with a relative path started from `folder`."""
    if not reference.startswith(FILE):
        return reference
    return f"{FILE}{folder / reference.removeprefix(FILE)}"


def read_secret(reference: str, option: str) -> str:
    """Return the secret, without white space around it.

    Raises `ConfigurationError` that names `option` and the place where the secret should be;
    whatever is found there, its text is in no message.
    """
    if reference.startswith(ENV):
        name = reference.removeprefix(ENV)
        found = os.environ.get(name)
        if found is None:
            raise ConfigurationError(f"{option}: the environment variable {name} is not set.")
        place = f"the environment variable {name}"
    else:
        path = Path(reference.removeprefix(FILE))
        place = f"the file {path}"
        try:
            found = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationError(
                f"{option}: {place} cannot be read: {error.strerror}."
            ) from error
        except UnicodeDecodeError:
            raise ConfigurationError(f"{option}: {place} is not text.") from None
    secret = found.strip()
    if not secret:
        raise ConfigurationError(f"{option}: {place} is empty.")
    if not (secret.isascii() and secret.isprintable()) or " " in secret:
        raise ConfigurationError(
            f"{option}: {place} holds more than one secret: it must be one word of visible ASCII."
        )
    return secret
