"""Answers of our own: a JSON document to whoever reads a path, and an error to all others."""

from collections.abc import Iterable

from starlette.types import Scope, Send

from veneer.dialects import Kind
from veneer.errors import Error

NO_STORE = (b"cache-control", b"no-store")

# For all methods but those.
ONLY_READ = Error(
    Kind.METHOD_NOT_ALLOWED,
    "This path answers GET and HEAD.",
    headers=((b"allow", b"GET, HEAD"),),
)


async def send_document(
    scope: Scope,
    send: Send,
    body: bytes,
    *,
    status: int = 200,
    headers: Iterable[tuple[bytes, bytes]] = (NO_STORE,),
) -> None:
    """Send a JSON document, HEAD its header alone; without other `headers`, nobody may keep it."""
    fields = [
        (b"content-type", b"application/json"),
        (b"content-length", b"%d" % len(body)),
        *headers,
    ]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})
