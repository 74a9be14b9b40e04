"""The base URL of an upstream, as its clients would be given it."""

import re
from urllib.parse import urlsplit

# RFC 3986 §3.3: what a path may hold, encoded.
_PATH = re.compile(r"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@/]|%[0-9A-Fa-f]{2})*")


def split_url(url: str) -> tuple[str, bytes]:
    """Return the origin of an upstream's URL and its base path without a slash at the end.

    Raises ValueError, with a sentence that says how to mend it, for what is no base URL.
    """
    parts = urlsplit(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("Credentials do not belong into the upstream's URL: use api_key.")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"{url!r} is no upstream: give a URL such as http://localhost:8000/v1.")
    if parts.query or parts.fragment:
        raise ValueError("The upstream's URL is a base: leave out what follows '?' or '#'.")
    if not _PATH.fullmatch(parts.path):
        raise ValueError(f"The path in {url!r} has to be percent-encoded.")
    try:
        port = parts.port
    except ValueError:
        raise ValueError(f"The port in {url!r} is no port number.") from None
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    origin = f"{parts.scheme}://{host}" + (f":{port}" if port is not None else "")
    return origin, parts.path.rstrip("/").encode("ascii")
