"""Bodies of requests: exactly what was announced, piece by piece."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from veneer.upstream.request_body import upload
from veneer.upstream.transport import BodyMismatch


@dataclass
class Taken:
    """Takes what is sent."""

    data: bytes = b""
    largest: int = 0
    waits: list[int] = field(default_factory=list)

    def writelines(self, parts: list[bytes | memoryview]) -> None:
        """Take `parts`."""
        size = sum(len(part) for part in parts)
        self.largest = max(self.largest, size)
        self.data += b"".join(parts)

    async def writable(self) -> None:
        """Be ready for more."""
        self.waits.append(len(self.data))


async def each(items: list[bytes]) -> AsyncIterator[bytes]:
    for item in items:
        yield item


def run(items: list[bytes], length: int | None) -> Taken:
    """Send without a loop: nothing here waits."""
    taken = Taken()
    with pytest.raises(StopIteration):
        upload(taken, each(items), length).send(None)
    return taken


@given(st.lists(st.binary(max_size=5)))
def test_a_known_length_adds_nothing(items: list[bytes]) -> None:
    assert run(items, len(b"".join(items))).data == b"".join(items)


@given(st.lists(st.binary(max_size=5)))
def test_chunks_hold_what_was_given_and_end_once(items: list[bytes]) -> None:
    data = run(items, None).data
    read = b""
    while True:
        size, _, data = data.partition(b"\r\n")
        count = int(size, 16)
        read += data[:count]
        assert data[count : count + 2] == b"\r\n"
        data = data[count + 2 :]
        if count == 0:
            break
    assert (read, data) == (b"".join(items), b"")


@given(st.lists(st.binary(max_size=5)), st.integers(0, 30))
def test_no_byte_goes_beyond_the_length(items: list[bytes], length: int) -> None:
    body = b"".join(items)
    taken = Taken()
    if len(body) == length:
        return
    with pytest.raises(BodyMismatch, match="longer" if len(body) > length else "shorter"):
        upload(taken, each(items), length).send(None)
    assert body.startswith(taken.data)
    assert len(taken.data) <= length


async def test_large_bytes_go_out_in_pieces() -> None:
    taken = Taken()
    await upload(taken, bytes(1_000_000), None)
    assert taken.data == bytes(1_000_000)
    assert taken.largest == 262_144
    assert len(taken.waits) == 4
