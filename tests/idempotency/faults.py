"""What has to be true of the answers to a call whose process was killed or stopped."""

import signal
from collections.abc import Iterable, Iterator

import msgspec

from tests.answers import Answer
from tests.idempotency.served import Asked

# What clients get while the store cannot be used.
UNAVAILABLE = 503


class Moment(msgspec.Struct, frozen=True):
    """When, in seconds from the call on, the process is hit, and by what.

    `rest` is how long it stays stopped; None: until the call was answered by another.
    """

    number: signal.Signals
    at: float
    rest: float | None = None


class Clients(msgspec.Struct):
    """What the clients of one call have got."""

    asked: Asked
    # From the process that was hit, asked before or while it was stopped.
    hit: list[Answer]
    # From another one, asked before the moment.
    beside: list[Answer]
    # From another one, asked from the moment on, until it was answered.
    retries: list[Answer]
    # From both, when all was over.
    later: list[Answer]


def faults_of(clients: Clients, moment: Moment, reached: int) -> Iterator[str]:
    """Yield what is wrong with what the clients of a call have got.

    `reached` is how often it came to the model server.
    """
    kept = clients.later[0].body
    final = [clients.retries[-1], *clients.later]
    if all(answer.status != UNAVAILABLE for answer in clients.retries):
        final += clients.beside
    if not 1 <= reached <= 2:
        yield f"the model server was asked {reached} times"
    if not kept.endswith(b"data: [DONE]\n\n" if clients.asked.stream else b"}"):
        yield f"the answer is not whole: {kept[-100:]!r}"
    for answer in final:
        if answer.status != 200 or not answer.whole:
            yield f"from the other: status {answer.status}, {answer.body[-300:]!r}"
        elif answer.body != kept:
            yield "from the other: something else than what is kept"
    if not all(answer.replayed for answer in clients.later):
        yield "what was answered has been answered anew"
    yield from faults_of_hit(
        clients.hit, kept, killed=moment.number == signal.SIGKILL, reached=reached
    )


def faults_of_hit(
    answers: Iterable[Answer], kept: bytes, *, killed: bool, reached: int
) -> Iterator[str]:
    """Yield what is wrong with what clients of the process have got that was hit."""
    for answer in answers:
        if answer.status == 200 and answer.whole and answer.body != kept:
            yield "hit: a clean end to what is not kept"
        if b"[DONE]" in answer.body and not kept.startswith(answer.body):
            yield "hit: the last event of what is not kept"
        if killed and answer.whole and answer.status != 200:
            yield f"hit: status {answer.status}, {answer.body[-300:]!r}"
        if killed and reached == 1 and not kept.startswith(answer.body):
            yield "hit: begun otherwise than what is kept"
