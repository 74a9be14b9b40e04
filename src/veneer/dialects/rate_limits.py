"""Rate-limit fields: how quotas stand, as OpenAI's API, its relatives and the IETF's drafts say it.

Standings of one unit are many where several policies hold a request; the tightest is shown, which
has the fewest units remaining, and of those the longest reset. Only the IETF's later drafts have
fields for all policies, and for concurrent requests.
"""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from math import ceil
from types import MappingProxyType
from urllib.parse import quote

from veneer.facts import Standing
from veneer.quotas.quota import REQUESTS, TOKENS

Fields = list[tuple[bytes, bytes]]

# A second in milliseconds, a minute in seconds, an hour in minutes.
SECOND = 1000
MINUTE = HOUR = 60
# What floating point may add to a time on the way.
NOISE = 1e-6
# The last second that ISO 8601 has four digits of a year for.
LAST_SECOND = 253_402_300_799
# The greatest Integer of a structured field (RFC 9651 §3.3.1).
MOST = 999_999_999_999_999
# What a String of a structured field may hold as it is (RFC 9651 §3.3.3); the percent sign is kept
# for what it may not.
PLAIN = "".join(map(chr, range(0x20, 0x7F))).replace("%", "")


def openai_fields(standings: Sequence[Standing], _now: float) -> Fields:
    """Return OpenAI's fields; a reset is the time until the quota is full, as a duration of Go."""
    fields: Fields = []
    requests = tightest(standings, REQUESTS)
    if requests is not None:
        fields += (
            (b"x-ratelimit-limit-requests", b"%d" % requests.limit),
            (b"x-ratelimit-remaining-requests", b"%d" % requests.remaining),
            (b"x-ratelimit-reset-requests", duration(requests.reset)),
        )
    tokens = tightest(standings, TOKENS)
    if tokens is not None:
        fields += (
            (b"x-ratelimit-limit-tokens", b"%d" % tokens.limit),
            (b"x-ratelimit-remaining-tokens", b"%d" % tokens.remaining),
            (b"x-ratelimit-reset-tokens", duration(tokens.reset)),
        )
    return fields


def aurous_fields(standings: Sequence[Standing], now: float) -> Fields:
    """Return Aurous' fields, whose resets are points in time, and all that OpenAI has besides.

    `now` and resets are seconds since the epoch, resets whole ones, rounded up.
    """
    fields: Fields = []
    requests = tightest(standings, REQUESTS)
    if requests is not None:
        fields += (
            (b"x-ratelimit-limit", b"%d" % requests.limit),
            (b"x-ratelimit-remaining", b"%d" % requests.remaining),
            (b"x-ratelimit-reset", b"%d" % ceil(now + requests.reset)),
        )
    tokens = tightest(standings, TOKENS)
    if tokens is not None:
        fields += (
            (b"x-ratelimit-tpm-limit", b"%d" % tokens.limit),
            (b"x-ratelimit-tpm-remaining", b"%d" % tokens.remaining),
            (b"x-ratelimit-tpm-reset", b"%d" % ceil(now + tokens.reset)),
        )
    return fields + openai_fields(standings, now)


def auriko_fields(standings: Sequence[Standing], now: float) -> Fields:
    """Return Auriko's fields: requests alone, with the reset in UTC as ISO 8601 writes it."""
    requests = tightest(standings, REQUESTS)
    if requests is None:
        return []
    reset = datetime.fromtimestamp(min(ceil(now + requests.reset), LAST_SECOND), UTC)
    return [
        (b"x-ratelimit-limit-requests", b"%d" % requests.limit),
        (b"x-ratelimit-remaining-requests", b"%d" % requests.remaining),
        (b"x-ratelimit-reset-requests", b"%bZ" % reset.isoformat()[:19].encode()),
    ]


def tightest(standings: Sequence[Standing], unit: str) -> Standing | None:
    """Return the standing of a unit to show, or None where no policy counts it."""
    found: Standing | None = None
    for standing in standings:
        if standing.unit == unit and (found is None or _is_tighter(standing, found)):
            found = standing
    return found


def _is_tighter(one: Standing, other: Standing) -> bool:
    if one.remaining == other.remaining:
        return one.reset > other.reset
    return one.remaining < other.remaining


def duration(seconds: float) -> bytes:
    """Write a time as Go does (`12ms`, `3.114s`, `6m0s`), in whole milliseconds, rounded up."""
    milliseconds = ceil(seconds * SECOND - NOISE)
    if milliseconds < SECOND:
        return b"%dms" % milliseconds if milliseconds > 0 else b"0s"
    whole, rest = divmod(milliseconds, SECOND)
    fraction = (b".%03d" % rest).rstrip(b"0") if rest else b""
    if whole < MINUTE:
        return b"%d%bs" % (whole, fraction)
    minutes, whole = divmod(whole, MINUTE)
    if minutes < HOUR:
        return b"%dm%d%bs" % (minutes, whole, fraction)
    return b"%dh%dm%d%bs" % (*divmod(minutes, HOUR), whole, fraction)


def ietf_fields(version: str) -> Callable[[Sequence[Standing]], Fields]:
    """Return what writes `RateLimit-Policy` and `RateLimit` as this version of the draft has them.

    Versions are `draft-11` (draft-ietf-httpapi-ratelimit-headers-11: every policy by its name) and
    `draft-7` (the tightest alone); ValueError for another.
    """
    writer = DRAFTS.get(version)
    if writer is None:
        known = ", ".join(DRAFTS)
        raise ValueError(
            f"Unknown version of the RateLimit fields: {version!r}. Known are {known}."
        )
    return writer


def draft_11_fields(standings: Sequence[Standing]) -> Fields:
    """Write both fields as draft 11 does; `t` is the time until one unit more is there (§4.1.2).

    Where a policy has several windows, each is a policy here, and its window is part of its name.
    """
    if not standings:
        return []
    names = [standing.policy for standing in standings]
    if len(set(names)) < len(names):
        names = [f"{standing.policy}/{standing.window:.15g}" for standing in standings]
    policies: list[bytes] = []
    limits: list[bytes] = []
    for name, standing in zip(names, standings, strict=True):
        policies.append(_policy(name, standing.unit, standing.limit, standing.window))
        until = b";t=%d" % _until_more(standing) if standing.window else b""
        limits.append(b"%b;r=%d%b" % (string(name), min(standing.remaining, MOST), until))
    return [(b"ratelimit-policy", b", ".join(policies)), (b"ratelimit", b", ".join(limits))]


def draft_7_fields(standings: Sequence[Standing]) -> Fields:
    """Write both fields as draft 7 does; it knows no units, and a window is required (§3, §4)."""
    found: Standing | None = None
    for standing in standings:
        if standing.window and (found is None or _is_tighter(standing, found)):
            found = standing
    if found is None:
        return []
    limit, remaining = min(found.limit, MOST), min(found.remaining, MOST)
    reset = min(ceil(found.reset), MOST)
    return [
        (b"ratelimit-policy", b"%d;w=%d" % (limit, _seconds(found.window))),
        (b"ratelimit", b"limit=%d, remaining=%d, reset=%d" % (limit, remaining, reset)),
    ]


@lru_cache(maxsize=1024)
def string(text: str) -> bytes:
    """Write text as a String of a structured field; what is not ASCII is percent-encoded UTF-8."""
    plain = quote(text, safe=PLAIN, errors="replace")
    return b'"%b"' % plain.replace("\\", "\\\\").replace('"', '\\"').encode()


@lru_cache(maxsize=1024)
def _policy(name: str, unit: str, limit: int, window: float) -> bytes:
    """Write a policy; requests are the unit of those that name none."""
    written = b"%b;q=%d" % (string(name), min(limit, MOST))
    if window:
        written += b";w=%d" % _seconds(window)
    return written if unit == REQUESTS else b"%b;qu=%b" % (written, string(unit))


def _seconds(window: float) -> int:
    """Return a window as a positive Integer: a longer one promises less."""
    return min(ceil(window), MOST)


def _until_more(standing: Standing) -> int:
    """Return the time until one more unit is there, 0 where all are.

    Units come back evenly: all but one of those that are missing come back after it.
    """
    missing = standing.limit - standing.remaining
    if not missing:
        return 0
    later = (missing - 1) * standing.window / standing.limit
    return min(max(0, ceil(standing.reset - later - NOISE)), MOST)


DRAFTS = MappingProxyType({"draft-11": draft_11_fields, "draft-7": draft_7_fields})
