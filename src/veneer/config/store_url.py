"""URLs of stores: given as they are, or by where they are if they hold a password."""

from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from veneer.config.secret import anchored, is_reference, read_secret
from veneer.wiring import ConfigurationError

SQLITE = "sqlite:///"
MEMORY = "memory://"


def anchored_store(place: str, folder: Path) -> str:
    """Return a store's URL, or where that is, with a relative path started from `folder`."""
    if is_reference(place):
        return anchored(place, folder)
    path = place.removeprefix(SQLITE)
    if path == place or not path or path.startswith((":", "/")):
        return place
    return f"{SQLITE}{folder / path}"


def read_store_url(place: str, option: str) -> str:
    """Return the URL of a store that is given as it is, or as `env:NAME` or `file:PATH`.

    Raises `ConfigurationError` that names `option`, with no part of a URL read from elsewhere, and
    for one with a password that is not.
    """
    if is_reference(place):
        return read_secret(place, option)
    if _holds_password(place):
        raise ConfigurationError(
            f"{option} has a password in it: put the URL into an environment variable or a file, "
            "and name that as env:NAME or file:PATH."
        )
    return place


def read_lasting_url(place: str | None, option: str) -> str:
    """Return the URL of a store that outlives the process; raises as `read_store_url` does.

    So it does where none is given, or one in memory.
    """
    if place is None:
        raise ConfigurationError(
            f"{option} is not set: give the URL of a store, such as sqlite:///veneer.db."
        )
    url = read_store_url(place, option)
    if url == MEMORY:
        raise ConfigurationError(
            f"{option} cannot be memory://, which every process has empty and to itself: give "
            "sqlite:///veneer.db, or a postgresql:// URL."
        )
    return url


def _holds_password(url: str) -> bool:
    try:
        parts = urlsplit(url)
    except ValueError:
        return True
    return parts.password is not None or "password" in parse_qs(parts.query)
