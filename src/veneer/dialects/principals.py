"""Principals: who a caller is, as the body of an answer of each API; nothing in it is secret."""

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from veneer.dialects.budgets import billing_mode
from veneer.facts import BudgetStanding, Principal, Standing

MINUTE = 60.0


def openai_me(principal: Principal, standing: Standing | None) -> bytes:
    """Return a document of our own, for OpenAI has none: what is known of the key, null for all.

    `requests_per_minute` is null where nothing limits them.
    """
    operations = principal.operations
    document = {
        "object": "key",
        "id": principal.id,
        "name": principal.name,
        "shown": principal.shown,
        "team": principal.team,
        "user": principal.user,
        "scopes": sorted(principal.scopes),
        "operations": None if operations is None else sorted(operations),
        "models": principal.models,
        "tags": principal.tags,
        "requests_per_minute": None if standing is None else _per_minute(standing),
        "created_at": _instant(principal.created_at),
        "expires_at": _instant(principal.expires_at),
    }
    return msgspec.json.encode(document)


def auriko_me(principal: Principal, standing: Standing | None) -> bytes:
    """Return Auriko's document; its client requires every member, so what is unknown is empty.

    A rate of 0 stands for requests that nothing limits. Who has no team is a workspace of its own.
    """
    rate = 0 if standing is None else _per_minute(standing)
    workspace = principal.team or principal.id
    document = {
        "credential_type": "api_key",
        "status": "active",
        "profile": "inference",
        "key_id": principal.id,
        "key_prefix": principal.shown or "",
        "key_name": principal.name,
        "workspace": {"id": workspace, "name": workspace},
        "scopes": sorted(principal.scopes),
        "rate_limits": {
            "inference_rpm": rate,
            "management_reads_rpm": rate,
            "management_writes_rpm": rate,
        },
        "expires_at": _instant(principal.expires_at),
        "created_at": _instant(principal.created_at) or "",
    }
    return msgspec.json.encode(document)


def aurous_team(
    principal: Principal, version: str | None, standings: Sequence[BudgetStanding]
) -> bytes:
    """Return what is known of the caller's team; a shape of our own, for none is published.

    `version` is that of the API which its calls get by default, `billing_mode` what `/balance` says
    there. Who has no team is one alone.
    """
    document = {
        "object": "team",
        "id": principal.team or principal.id,
        "default_api_version": version,
        "billing_mode": billing_mode(standings),
    }
    return msgspec.json.encode(document)


def _per_minute(standing: Standing) -> int:
    """Return a limit on requests as so many a minute; at least 1, as one that is none is 0."""
    return max(1, round(standing.limit * MINUTE / standing.window))


def _instant(when: datetime | None) -> str | None:
    """Return a time as ISO 8601 writes it, in UTC and whole seconds."""
    return None if when is None else f"{when.astimezone(UTC).replace(tzinfo=None):%FT%TZ}"
