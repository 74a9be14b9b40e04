"""URLs of what keeps something: what they have in common, and the sentences about impossible ones.

No sentence holds more of a URL than its scheme, as there may be a password in it, and of a file's
its folder.
"""

import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType

_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*")

# What Redis' client calls a scheme. Valkey speaks its protocol, and is known to it by no other.
REDIS = MappingProxyType(
    {
        "redis": "redis",
        "rediss": "rediss",
        "redis+cluster": "redis+cluster",
        "rediss+cluster": "rediss+cluster",
        "unix": "unix",
        "valkey": "redis",
        "valkeys": "rediss",
    }
)


def sqlite_file(location: str) -> Path:
    """Return the file of a URL, of which `location` is what follows `sqlite://`.

    Raises ValueError where there is no path, or no folder for it, or where it is one.
    """
    path = location.removeprefix("/")
    if not location.startswith("/") or not path or path == ":memory:":
        raise ValueError(
            "A SQLite store needs the path of a file: sqlite:///file.db, or sqlite:////absolute/"
            "file.db with four slashes. For one that lasts as long as the process, give memory://."
        )
    if "?" in path:
        raise ValueError("The URL of a SQLite store takes no parameters: leave out what follows ?.")
    file = Path(path)
    check_folder(file, "the SQLite store")
    if file.is_dir():
        raise ValueError(
            "The SQLite store needs the path of a file, and this is a folder: add a name, such as "
            "sqlite:////folder/file.db."
        )
    return file


def check_folder(file: Path, what: str) -> None:
    """Raise ValueError where there is no folder for a file, which is `what`."""
    if not file.parent.is_dir():
        raise ValueError(f"The folder {file.parent} for {what} does not exist: create it.")


def unknown(what: str, url: str, schemes: Iterable[str], forms: str) -> str:
    """Return the sentence about a URL that is none of `what` ("limiter"), for which `forms` are."""
    scheme, separator, _ = url.partition("://")
    near = get_close_matches(scheme.partition(":")[0][:16].lower(), list(schemes), n=1)
    # What is followed by no :// may be a password.
    begins = (
        f" that begins {scheme}://" if separator and _SCHEME.fullmatch(scheme) else " like this"
    )
    meant = f" (is {near[0]}:// meant?)" if near else ""
    return f"No {what} has a URL{begins}{meant}: give {forms}."
