"""A body of which only the first part may be sent again."""

import pytest
from starlette.types import Message

from veneer.upstream._repeatable import Repeatable


def body(*parts: bytes) -> Repeatable:
    """Return a body that comes in these parts, before the client leaves."""
    messages: list[Message] = [
        {"type": "http.request", "body": part, "more_body": index < len(parts) - 1}
        for index, part in enumerate(parts)
    ]
    messages.append({"type": "http.disconnect"})

    async def receive() -> Message:
        return messages.pop(0)

    return Repeatable(receive)


async def parts_of(repeatable: Repeatable) -> list[bytes]:
    parts = []
    while (message := await repeatable.receive())["type"] == "http.request":
        parts.append(message["body"])
    return parts


@pytest.mark.parametrize("looked_at", [0, 1, 2])
async def test_looking_at_the_first_part_takes_nothing(looked_at: int) -> None:
    repeatable = body(b"a", b"b")
    for _ in range(looked_at):
        assert await repeatable.first() == b"a"
    assert await parts_of(repeatable) == [b"a", b"b"]


async def test_the_first_part_comes_again_and_then_the_others() -> None:
    repeatable = body(b"a", b"b")
    for _ in range(3):
        assert (await repeatable.receive())["body"] == b"a"
        assert repeatable.rewind()
    assert await parts_of(repeatable) == [b"a", b"b"]


async def test_once_a_further_part_is_gone_there_is_no_other_try() -> None:
    repeatable = body(b"a", b"b")
    await parts_of(repeatable)
    assert not repeatable.rewind()


async def test_a_whole_body_comes_again_though_somebody_waits_for_its_client_to_leave() -> None:
    repeatable = body(b"a")
    assert await parts_of(repeatable) == [b"a"]
    assert repeatable.rewind()
    assert (await repeatable.receive())["body"] == b"a"


async def test_what_is_forgotten_does_not_come_again() -> None:
    repeatable = body(b"a", b"b")
    repeatable.forget()
    assert (await repeatable.receive())["body"] == b"a"
    repeatable.forget()
    assert not repeatable.rewind()
    assert await parts_of(repeatable) == [b"b"]
