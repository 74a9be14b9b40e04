"""Raw HTTP over a connection of its own, for clients that look close at how an answer ends."""

import asyncio
from contextlib import suppress

import msgspec


class Answer(msgspec.Struct, frozen=True):
    """What a client has seen: status 0 where that was nothing, and whether the end was clean."""

    status: int
    headers: dict[str, str]
    body: bytes
    whole: bool
    seconds: float

    @property
    def replayed(self) -> bool:
        """Whether it says that it is a replay."""
        return self.headers.get("idempotent-replayed") == "true"


async def post(port: int, body: bytes, *fields: str, within: float) -> Answer:
    """Ask for a chat completion, with more header fields, and read until the server closes.

    Raises TimeoutError where it does not.
    """
    loop = asyncio.get_running_loop()
    lines = [
        "POST /v1/chat/completions HTTP/1.1",
        "host: x",
        "connection: close",
        "content-type: application/json",
        f"content-length: {len(body)}",
        *fields,
        "\r\n",
    ]
    received = b""
    began = loop.time()
    with suppress(ConnectionError):
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                writer.write("\r\n".join(lines).encode() + body)
                while data := await reader.read(65536):
                    received += data
            finally:
                writer.close()
    return read_answer(received, loop.time() - began)


def read_answer(received: bytes, seconds: float) -> Answer:
    """Return what came over a connection, until that was closed or cut."""
    head, ended, body = received.partition(b"\r\n\r\n")
    if not ended:
        return Answer(0, {}, received, False, seconds)  # noqa: FBT003 - a field of a struct
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    if "chunked" in headers.get("transfer-encoding", ""):
        body, whole = _dechunked(body)
    else:
        whole = len(body) == int(headers.get("content-length", -1))
    return Answer(int(status.split()[1]), headers, body, whole, seconds)


def _dechunked(data: bytes) -> tuple[bytes, bool]:
    """Return what is in chunks (RFC 9112 §7.1), and whether the last of them is there."""
    body = b""
    while True:
        size, ended, data = data.partition(b"\r\n")
        if not ended:
            return body, False
        length = int(size, 16)
        if length == 0:
            return body, data == b"\r\n"
        body += data[:length]
        data = data[length + 2 :]
