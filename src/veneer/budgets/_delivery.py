"""Deliveries of a webhook: what is sent, and what an answer says of it."""

import json
import os
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec

from veneer.budgets.thresholds import Crossing
from veneer.prices import money
from veneer.wire.ids import RANDOM_LENGTH, ulid

TYPE = "budget.threshold_reached"

# The longest pause that a receiver may ask for, in seconds.
LONGEST_PAUSE = 300.0

# What is answered so may be answered otherwise the next time, as may all of 5xx.
_PASSING = frozenset(
    {HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS}
)


class Delivery(msgspec.Struct, frozen=True):
    """A crossing as it is sent: the id is the same in every try."""

    id: str
    body: bytes
    crossing: Crossing


class Failure(msgspec.Struct, frozen=True):
    """Why a try has failed, whether another may do better, and the pause that was asked for."""

    reason: str
    passing: bool = True
    pause: float = 0.0


def delivery_of(crossing: Crossing, at: float) -> Delivery:
    """Return the delivery of a crossing that has happened at that time."""
    message_id = "msg_" + ulid(int(at * 1000), os.urandom(RANDOM_LENGTH))
    partition = crossing.partition
    content = {
        "type": TYPE,
        "id": message_id,
        "created_at": _iso(at),
        "data": {
            "budget": crossing.budget,
            "partition": dict(zip(partition[::2], partition[1::2], strict=True)),
            "period": crossing.period,
            "starts": _iso(crossing.starts),
            "ends": None if crossing.ends is None else _iso(crossing.ends),
            "threshold": crossing.threshold,
            "limit_usd": money.shown(crossing.limit),
            "spent_usd": money.shown(crossing.spent),
        },
    }
    # The standard library's encoder takes all names, also those with lone surrogates.
    body = json.dumps(content, separators=(",", ":")).encode()
    return Delivery(message_id, body, crossing)


def judged(status: int, retry_after: str | None, now: float) -> Failure | None:
    """Return what has failed, by the answer's status; None where nothing has."""
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        return None
    passing = status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR
    redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST
    more = ", and redirects are not followed" if redirect else ""
    reason = f"the receiver has answered with status {status}{more}"
    return Failure(reason, passing, _pause(retry_after, now))


def _pause(retry_after: str | None, now: float) -> float:
    """Return the seconds that a receiver asks for, in either form (RFC 9110 §10.2.3)."""
    if retry_after is None:
        return 0.0
    if retry_after.isascii() and retry_after.isdigit():
        return min(float(retry_after), LONGEST_PAUSE)
    try:
        until = datetime.strptime(retry_after, "%a, %d %b %Y %H:%M:%S GMT").replace(tzinfo=UTC)
    except ValueError:
        return 0.0
    return min(max(until.timestamp() - now, 0.0), LONGEST_PAUSE)


def _iso(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
