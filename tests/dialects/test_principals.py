"""Who a caller is, in the words of each API."""

import json
from datetime import UTC, datetime, timedelta, timezone

from auriko.models.common import ApiKeyIdentity

from veneer.dialects.principals import auriko_me, openai_me
from veneer.facts import Principal, Standing

NOON = datetime(2026, 3, 1, 12, 30, 15, 999_999, tzinfo=UTC)
KNOWN = Principal(
    id="key_1",
    name="ci",
    team="red",
    user="ann",
    scopes=frozenset({"write", "read"}),
    operations=frozenset({"responses", "embeddings"}),
    models=("gpt-*",),
    tags=("a",),
    shown="vnr_…Q7xZ",
    created_at=NOON,
    expires_at=NOON.astimezone(timezone(timedelta(hours=5))),
)
BARE = Principal(id="key_2")


def hourly(limit: int) -> Standing:
    return Standing(policy="p", unit="requests", limit=limit, window=3600.0, remaining=1, reset=1.0)


def test_all_that_is_known_is_told_in_a_document_of_our_own() -> None:
    assert json.loads(openai_me(KNOWN, hourly(600))) == {
        "object": "key",
        "id": "key_1",
        "name": "ci",
        "shown": "vnr_…Q7xZ",
        "team": "red",
        "user": "ann",
        "scopes": ["read", "write"],
        "operations": ["embeddings", "responses"],
        "models": ["gpt-*"],
        "tags": ["a"],
        "requests_per_minute": 10,
        "created_at": "2026-03-01T12:30:15Z",
        "expires_at": "2026-03-01T12:30:15Z",
    }


def test_what_is_not_known_is_null() -> None:
    document = json.loads(openai_me(BARE, None))
    unknown = {name for name, value in document.items() if value is None}
    assert unknown == {
        "shown",
        "team",
        "user",
        "operations",
        "models",
        "requests_per_minute",
        "created_at",
        "expires_at",
    }


def test_aurikos_client_takes_its_document() -> None:
    me = ApiKeyIdentity.model_validate_json(auriko_me(KNOWN, hourly(600)))
    assert (me.key_id, me.key_name, me.key_prefix) == ("key_1", "ci", "vnr_…Q7xZ")
    assert (me.workspace.id, me.scopes) == ("red", ["read", "write"])
    assert me.rate_limits.inference_rpm == 10
    assert (me.created_at, me.expires_at) == ("2026-03-01T12:30:15Z", "2026-03-01T12:30:15Z")


def test_aurikos_client_takes_it_also_where_little_is_known() -> None:
    me = ApiKeyIdentity.model_validate_json(auriko_me(BARE, None))
    assert (me.workspace.id, me.key_prefix, me.created_at) == ("key_2", "", "")
    assert me.expires_at is None
    assert me.rate_limits.inference_rpm == 0


def test_a_limit_of_few_requests_is_none_of_none() -> None:
    me = ApiKeyIdentity.model_validate_json(auriko_me(BARE, hourly(1)))
    assert me.rate_limits.inference_rpm == 1
