"""Aurous' way of speaking, under any brand: as its documentation and migration guide have it."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.dialects.balances import aurous_balance
from veneer.dialects.budgets import aurous_budget_fields
from veneer.dialects.dialect import Dialect, Failure, Form, Versions
from veneer.dialects.envelope import body_of, event_of
from veneer.dialects.kinds import Kind
from veneer.dialects.listings import aurous_model, aurous_pricing
from veneer.dialects.openai import OPENAI
from veneer.dialects.principals import aurous_team
from veneer.dialects.rate_limits import aurous_fields
from veneer.dialects.receipts import aurous_cost_fields, aurous_estimate, aurous_receipt

BRAND = "Aurous"
MAX_BRAND = 32
VERSIONS = ("2026-05-15",)

# What Aurous does not serve, of what is served by default.
UNSERVED = ("images", "audio")
LISTS = MappingProxyType({"pricing": aurous_pricing})
# Codes with this word come with the status that the model server gave.
PROVIDER = "provider_"
# Aurous names what is asked for by its path and method.
LIMITED_WORDING = "Rate limit exceeded for {endpoint}. Retry after {wait}s."

_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}").fullmatch

INVALID = "invalid_request"
AUTHENTICATION = "authentication"
NOT_FOUND = "not_found"
LIMITED = "rate_limit"
SERVER = "server_error"

# Of a key that is not accepted a 401 does not tell whether it once existed.
_REFUSED_KEY = Form(
    401,
    AUTHENTICATION,
    "invalid_api_key",
    message="Incorrect API key provided. Check it, or ask whoever issued it for a new one.",
)

FORMS: Mapping[Kind, Form] = MappingProxyType(
    {
        Kind.INVALID_JSON: Form(400, INVALID, "invalid_format"),
        Kind.INVALID_REQUEST: Form(400, INVALID, "invalid_format"),
        Kind.INVALID_TYPE: Form(400, INVALID, "invalid_format"),
        Kind.INVALID_VALUE: Form(400, INVALID, "invalid_format"),
        Kind.UNSUPPORTED_PARAMETER: Form(400, INVALID, "invalid_format"),
        Kind.UNKNOWN_PARAMETER: Form(400, INVALID, "invalid_format"),
        Kind.MISSING_PARAMETER: Form(400, INVALID, "missing_field"),
        Kind.OUT_OF_RANGE: Form(400, INVALID, "value_out_of_range"),
        Kind.UNKNOWN_VERSION: Form(400, INVALID, "unknown_version"),
        Kind.AUTHENTICATION: Form(401, AUTHENTICATION, "invalid_api_key"),
        Kind.KEY_MISSING: Form(401, AUTHENTICATION, "missing_api_key"),
        Kind.KEY_MALFORMED: Form(401, AUTHENTICATION, "invalid_api_key"),
        Kind.KEY_UNKNOWN: _REFUSED_KEY,
        # Whoever shows a revoked key has had it: this one is told apart, as Aurous does.
        Kind.KEY_REVOKED: Form(
            401, AUTHENTICATION, "revoked_api_key", message="This API key has been revoked."
        ),
        Kind.KEY_EXPIRED: _REFUSED_KEY,
        Kind.KEY_NOT_YET_VALID: _REFUSED_KEY,
        Kind.KEYS_UNAVAILABLE: Form(503, SERVER, "keys_unavailable"),
        Kind.TOO_MANY_ATTEMPTS: Form(429, LIMITED, "too_many_attempts", retry=False),
        Kind.SCOPE_MISSING: Form(403, AUTHENTICATION, "missing_scope"),
        Kind.PERMISSION: Form(403, AUTHENTICATION, "permission_denied"),
        Kind.UNKNOWN_URL: Form(404, NOT_FOUND, "resource_not_found"),
        Kind.NOT_FOUND: Form(404, NOT_FOUND, "resource_not_found"),
        Kind.NOT_SERVED: Form(404, NOT_FOUND, "operation_not_served"),
        Kind.METHOD_NOT_ALLOWED: Form(405, INVALID, "method_not_allowed"),
        Kind.REQUEST_TIMEOUT: Form(408, INVALID, "request_timeout"),
        Kind.CONFLICT: Form(409, INVALID, "conflict"),
        Kind.IDEMPOTENCY_IN_FLIGHT: Form(409, INVALID, "idempotency_key_in_use", wait=False),
        Kind.IDEMPOTENCY_NOT_KEPT: Form(409, INVALID, "idempotency_key_in_use", retry=False),
        Kind.IDEMPOTENCY_MISMATCH: Form(409, INVALID, "idempotency_key_in_use", retry=False),
        Kind.IDEMPOTENCY_UNAVAILABLE: Form(503, SERVER, "idempotency_unavailable"),
        Kind.BODY_TOO_LARGE: Form(413, INVALID, "request_too_large"),
        Kind.UNSUPPORTED_MEDIA_TYPE: Form(415, INVALID, "unsupported_media_type"),
        Kind.UNPROCESSABLE: Form(422, INVALID, "invalid_format"),
        Kind.REQUESTS_LIMITED: Form(429, LIMITED, "too_many_requests", wording=LIMITED_WORDING),
        Kind.TOKENS_LIMITED: Form(429, LIMITED, "tpm_rate_limit_exceeded", wording=LIMITED_WORDING),
        Kind.CONCURRENCY_LIMITED: Form(429, LIMITED, "concurrency_limit_exceeded"),
        Kind.OVER_WHOLE_LIMIT: Form(429, LIMITED, "tpm_rate_limit_exceeded", retry=False),
        Kind.LIMITS_UNAVAILABLE: Form(503, SERVER, "limits_unavailable"),
        Kind.BUDGET_EXHAUSTED: Form(402, INVALID, "budget_exhausted", retry=False),
        Kind.BALANCE_TOO_LOW: Form(402, INVALID, "balance_too_low", retry=False),
        Kind.LEDGER_UNAVAILABLE: Form(503, SERVER, "ledger_unavailable"),
        Kind.MODEL_NOT_PRICED: Form(400, INVALID, "model_not_priced"),
        Kind.MODEL_NOT_FOUND: Form(404, NOT_FOUND, "model_not_found"),
        Kind.MODEL_WRONG_KIND: Form(400, INVALID, "model_wrong_kind"),
        Kind.CONTEXT_EXCEEDED: Form(400, INVALID, "max_input_tokens_exceeded"),
        Kind.OUTPUT_CAP_EXCEEDED: Form(400, INVALID, "max_tokens_exceeds_hard_cap"),
        Kind.TOOLS_UNSUPPORTED: Form(400, INVALID, "tools_unsupported"),
        Kind.TOOL_CHOICE_UNSUPPORTED: Form(400, INVALID, "tool_choice_required_unsupported"),
        Kind.VISION_UNSUPPORTED: Form(400, INVALID, "vision_unsupported"),
        Kind.JSON_MODE_UNSUPPORTED: Form(400, INVALID, "json_mode_unsupported"),
        Kind.JSON_SCHEMA_UNSUPPORTED: Form(400, INVALID, "json_schema_unsupported"),
        Kind.REASONING_UNSUPPORTED: Form(400, INVALID, "reasoning_unsupported"),
        Kind.STREAMING_UNSUPPORTED: Form(400, INVALID, "streaming_unsupported"),
        Kind.EMBEDDINGS_BATCH: Form(400, INVALID, "embeddings_batch_not_supported"),
        Kind.EMBEDDINGS_TOO_MANY: Form(400, INVALID, "embeddings_input_too_many_items"),
        Kind.EMBEDDINGS_TOO_LARGE: Form(400, INVALID, "embeddings_input_too_large"),
        Kind.EMBEDDINGS_MEDIA: Form(400, INVALID, "embeddings_video_unsupported"),
        Kind.EMBEDDINGS_DIMENSIONS: Form(400, INVALID, "embeddings_unsupported_dimensions"),
        Kind.ROUTE_COST: Form(400, INVALID, "cost_constraint_exceeded"),
        Kind.ROUTE_LATENCY: Form(400, INVALID, "latency_constraint_exceeded"),
        Kind.ROUTE_THROUGHPUT: Form(400, INVALID, "throughput_constraint_not_met"),
        Kind.ROUTE_PROVIDERS: Form(400, INVALID, "provider_not_in_allowlist"),
        Kind.ROUTE_EXCLUDED: Form(400, INVALID, "provider_blocked"),
        Kind.ROUTE_PARAMETERS: Form(400, INVALID, "required_params_not_supported"),
        Kind.ROUTE_OWN_KEYS: Form(400, INVALID, "byok_keys_required"),
        Kind.ROUTE_PLATFORM_KEYS: Form(400, INVALID, "platform_keys_unavailable"),
        Kind.ROUTE_NONE: Form(400, INVALID, "no_compatible_endpoint"),
        Kind.OWN_KEY_REFUSED: Form(400, INVALID, "provider_key_refused", retry=False),
        Kind.INTERNAL: Form(500, SERVER, "internal_error"),
        Kind.UPSTREAM_UNREACHABLE: Form(502, SERVER, "provider_unavailable"),
        Kind.UPSTREAM_INVALID: Form(502, SERVER, "provider_unavailable"),
        Kind.UPSTREAM_REFUSED_KEY: Form(502, SERVER, "provider_unavailable", retry=False),
        Kind.UPSTREAM_TIMEOUT: Form(504, SERVER, "provider_timeout"),
        Kind.UPSTREAM_BUSY: Form(503, SERVER, "provider_unavailable"),
        Kind.UPSTREAM_NONE_LEFT: Form(503, SERVER, "provider_unavailable"),
        Kind.UPSTREAM_INTERRUPTED: Form(502, SERVER, "provider_unavailable"),
        Kind.COMPLETION_NOT_FOUND: Form(404, NOT_FOUND, "chat_cancel_target_not_found"),
        # OpenAI's clients try a 409 again, and this one will never be another.
        Kind.COMPLETION_OVER: Form(
            409, INVALID, "chat_cancel_target_already_terminal", retry=False
        ),
        Kind.COMPLETION_NOT_CANCELLABLE: Form(
            409, INVALID, "chat_cancel_target_not_cancellable", retry=False
        ),
        Kind.COMPLETION_CANCELLED: Form(409, INVALID, "cancelled_by_request"),
        Kind.COMPLETION_LEFT: Form(409, INVALID, "cancelled_client_disconnect"),
        Kind.COMPLETIONS_UNAVAILABLE: Form(503, SERVER, "completions_unavailable"),
        Kind.SHUTTING_DOWN: Form(503, SERVER, "server_is_shutting_down"),
    }
)


def aurous(
    brand: str = BRAND,
    *,
    docs: str | None = None,
    versions: Sequence[str] = VERSIONS,
    team_versions: Mapping[str, str] | None = None,
) -> Dialect:
    """Return the dialect with a brand's name in its fields.

    `brand` is 1 to 32 letters; its fields begin with it in lower case. `docs` is the address of the
    brand's page of errors, to which `#` and the code are added; without it errors have no
    `doc_url`. `versions` are the dates of the API's versions, its default first; `team_versions`
    are those of teams whose default is another. Raises ValueError for another brand, for what is no
    date, and for the version of a team that is none of these.
    """
    if not (brand.isascii() and brand.isalpha() and len(brand) <= MAX_BRAND):
        raise ValueError(f"brand is {brand[:MAX_BRAND]!r}: give 1 to {MAX_BRAND} letters.")
    for version in versions:
        if not _DATE(version):
            raise ValueError(f"A version is {version!r}: give a date such as '{VERSIONS[0]}'.")
    teams = dict(team_versions or {})
    for team, version in teams.items():
        if version not in versions:
            raise ValueError(
                f"The team {team!r} has the version {version!r}: give one of "
                f"{', '.join(versions) or 'versions, which are none'}."
            )
    prefix = brand.lower().encode()

    def members(failure: Failure) -> dict[str, Any]:
        said: dict[str, Any] = {
            "type": failure.form.type,
            "code": failure.form.code,
            "message": failure.said,
            "param": failure.param,
        }
        if docs is not None:
            said["doc_url"] = f"{docs}#{failure.form.code}"
        if failure.request_id is not None:
            said["request_id"] = failure.request_id
        route = failure.route
        if route is not None and route.status and PROVIDER in (failure.form.code or ""):
            said["status"] = route.status
        return said

    return msgspec.structs.replace(
        OPENAI,
        name="aurous",
        forms=FORMS,
        keeps_foreign=False,
        body=body_of(members),
        event=event_of(members),
        request_id_headers=(*OPENAI.request_id_headers, prefix + b"-request-id"),
        rate_limit_fields=aurous_fields,
        receipt=aurous_receipt,
        cost_fields=partial(aurous_cost_fields, prefix=prefix),
        balance=aurous_balance,
        team=aurous_team,
        keeps_completions=True,
        deprecated=(prefix + b"-deprecated", b"route"),
        budget_fields=partial(aurous_budget_fields, prefix=prefix),
        model=partial(aurous_model, prefix=prefix.decode()),
        lists=LISTS,
        estimate=aurous_estimate,
        versions=Versions(prefix + b"-version", tuple(versions), teams) if versions else None,
        shows_usage=True,
        idempotency_names=(
            *OPENAI.idempotency_names,
            f"{brand}-Idempotent-Key",
            f"{brand}-Idempotency-Key",
        ),
        records_streams=False,
        warns_in_streams=True,
        unserved=UNSERVED,
        replayed=(prefix + b"-idempotent-replayed", b"true"),
        idempotency_status=prefix + b"-idempotency-status",
        exposed=(
            *OPENAI.exposed,
            f"{brand}-Request-Id",
            f"{brand}-Version",
            f"{brand}-Idempotent-Replayed",
            f"{brand}-Idempotency-Status",
            f"{brand}-Credits-Charged",
            f"{brand}-Credits-Available",
            f"{brand}-Deprecated",
            "Sunset",
            "X-RateLimit-Limit",
            "X-RateLimit-Remaining",
            "X-RateLimit-Reset",
            "X-RateLimit-TPM-Limit",
            "X-RateLimit-TPM-Remaining",
            "X-RateLimit-TPM-Reset",
        ),
    )
