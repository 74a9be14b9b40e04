"""Auriko's way of speaking, as its documentation and its client have it.

That client takes the body of an error for malformed unless type and code are of its own registry,
and then tries again: every kind has a code of that registry.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec

from veneer.dialects.balances import auriko_balance
from veneer.dialects.budgets import auriko_budget_fields
from veneer.dialects.dialect import Dialect, Failure, Form
from veneer.dialects.directories import auriko_directory, auriko_providers, auriko_registry
from veneer.dialects.envelope import body_of, event_of
from veneer.dialects.kinds import Kind
from veneer.dialects.listings import auriko_model, auriko_models
from veneer.dialects.openai import OPENAI
from veneer.dialects.principals import auriko_me
from veneer.dialects.rate_limits import auriko_fields
from veneer.dialects.routing import auriko_metadata

INVALID = "invalid_request_error"
AUTHENTICATION = "authentication_error"
PERMISSION = "permission_error"
NOT_FOUND = "not_found_error"
LIMITED = "rate_limit_error"
API = "api_error"

VALUE = "invalid_parameter_value"

# Whom a limit is of that a request ran into: ours, or that of whoever serves the model.
SOURCE = b"x-rate-limit-source"

LISTS = MappingProxyType(
    {
        "directory.models": auriko_directory,
        "registry.models": auriko_registry,
        "registry.providers": auriko_providers,
    }
)

# Auriko's client tries again after errors of these types, unless they have one of these codes.
RETRIED = frozenset([LIMITED, API])
FINAL = frozenset(["budget_exhausted", "insufficient_quota", "internal_error"])
WORDING = "Rate limit exceeded. Retry after {wait} seconds."

_REFUSED_KEY = Form(
    401,
    AUTHENTICATION,
    "invalid_api_key",
    message="Incorrect API key provided. Check it, or ask whoever issued it for a new one.",
)

_STATE = Form(409, INVALID, "state_precondition_failed")

_LIMITED = Form(429, LIMITED, "rate_limit_exceeded", wording=WORDING)

FORMS: Mapping[Kind, Form] = MappingProxyType(
    {
        Kind.INVALID_JSON: Form(400, INVALID, "invalid_request"),
        Kind.INVALID_REQUEST: Form(400, INVALID, "invalid_request"),
        Kind.INVALID_TYPE: Form(400, INVALID, VALUE),
        Kind.INVALID_VALUE: Form(400, INVALID, VALUE),
        Kind.UNSUPPORTED_PARAMETER: Form(400, INVALID, VALUE),
        Kind.UNKNOWN_PARAMETER: Form(400, INVALID, "unknown_field"),
        Kind.MISSING_PARAMETER: Form(400, INVALID, "missing_required_parameter"),
        Kind.OUT_OF_RANGE: Form(400, INVALID, VALUE),
        Kind.UNKNOWN_VERSION: Form(400, INVALID, VALUE),
        Kind.AUTHENTICATION: Form(401, AUTHENTICATION, "invalid_api_key"),
        Kind.KEY_MISSING: Form(401, AUTHENTICATION, "invalid_api_key"),
        Kind.KEY_MALFORMED: Form(401, AUTHENTICATION, "invalid_api_key"),
        Kind.KEY_UNKNOWN: _REFUSED_KEY,
        Kind.KEY_REVOKED: _REFUSED_KEY,
        # Whoever shows an expired key has had it: this one is told apart, as Auriko does.
        Kind.KEY_EXPIRED: Form(
            401, AUTHENTICATION, "expired_api_key", message="This API key has expired."
        ),
        Kind.KEY_NOT_YET_VALID: _REFUSED_KEY,
        Kind.KEYS_UNAVAILABLE: Form(503, API, "service_unavailable"),
        Kind.TOO_MANY_ATTEMPTS: Form(429, LIMITED, "rate_limit_exceeded", retry=False),
        Kind.SCOPE_MISSING: Form(403, PERMISSION, "insufficient_permissions"),
        Kind.PERMISSION: Form(403, PERMISSION, "insufficient_permissions"),
        Kind.UNKNOWN_URL: Form(404, NOT_FOUND, "resource_not_found"),
        Kind.NOT_FOUND: Form(404, NOT_FOUND, "resource_not_found"),
        Kind.NOT_SERVED: Form(404, NOT_FOUND, "resource_not_found"),
        Kind.METHOD_NOT_ALLOWED: Form(405, INVALID, "method_not_allowed"),
        Kind.REQUEST_TIMEOUT: Form(408, INVALID, "invalid_request"),
        Kind.CONFLICT: Form(409, INVALID, "state_precondition_failed"),
        Kind.IDEMPOTENCY_IN_FLIGHT: Form(409, INVALID, "idempotency_conflict"),
        Kind.IDEMPOTENCY_NOT_KEPT: Form(
            409, INVALID, "idempotency_replay_unavailable", retry=False
        ),
        Kind.IDEMPOTENCY_MISMATCH: Form(409, INVALID, "idempotency_conflict", retry=False),
        Kind.IDEMPOTENCY_UNAVAILABLE: Form(503, API, "service_unavailable"),
        Kind.BODY_TOO_LARGE: Form(413, INVALID, "payload_too_large"),
        Kind.UNSUPPORTED_MEDIA_TYPE: Form(415, INVALID, "invalid_request"),
        Kind.UNPROCESSABLE: Form(422, INVALID, VALUE),
        Kind.REQUESTS_LIMITED: _LIMITED,
        Kind.TOKENS_LIMITED: _LIMITED,
        Kind.CONCURRENCY_LIMITED: _LIMITED,
        Kind.OVER_WHOLE_LIMIT: Form(429, LIMITED, "insufficient_quota", retry=False),
        Kind.LIMITS_UNAVAILABLE: Form(503, API, "service_unavailable"),
        Kind.BUDGET_EXHAUSTED: Form(429, LIMITED, "budget_exhausted", retry=False),
        Kind.BALANCE_TOO_LOW: Form(429, LIMITED, "insufficient_quota", retry=False),
        Kind.LEDGER_UNAVAILABLE: Form(503, API, "service_unavailable"),
        Kind.MODEL_NOT_PRICED: Form(400, INVALID, "no_compatible_endpoint"),
        Kind.MODEL_NOT_FOUND: Form(404, NOT_FOUND, "model_not_found"),
        Kind.MODEL_WRONG_KIND: Form(400, INVALID, "no_compatible_endpoint"),
        Kind.CONTEXT_EXCEEDED: Form(400, INVALID, "context_length_exceeded"),
        Kind.OUTPUT_CAP_EXCEEDED: Form(400, INVALID, VALUE),
        Kind.TOOLS_UNSUPPORTED: Form(400, INVALID, "tools_not_supported"),
        Kind.TOOL_CHOICE_UNSUPPORTED: Form(400, INVALID, "tool_choice_required_not_supported"),
        Kind.VISION_UNSUPPORTED: Form(400, INVALID, "vision_not_supported"),
        Kind.JSON_MODE_UNSUPPORTED: Form(400, INVALID, "json_mode_not_supported"),
        Kind.JSON_SCHEMA_UNSUPPORTED: Form(400, INVALID, "structured_output_not_supported"),
        Kind.REASONING_UNSUPPORTED: Form(400, INVALID, "reasoning_not_supported"),
        Kind.STREAMING_UNSUPPORTED: Form(400, INVALID, "streaming_not_supported"),
        Kind.EMBEDDINGS_BATCH: Form(400, INVALID, VALUE),
        Kind.EMBEDDINGS_TOO_MANY: Form(400, INVALID, VALUE),
        Kind.EMBEDDINGS_TOO_LARGE: Form(400, INVALID, VALUE),
        Kind.EMBEDDINGS_MEDIA: Form(400, INVALID, "unsupported_modalities"),
        Kind.EMBEDDINGS_DIMENSIONS: Form(400, INVALID, VALUE),
        Kind.ROUTE_COST: Form(400, INVALID, "cost_constraint_exceeded"),
        Kind.ROUTE_LATENCY: Form(400, INVALID, "latency_constraint_exceeded"),
        Kind.ROUTE_THROUGHPUT: Form(400, INVALID, "throughput_constraint_not_met"),
        Kind.ROUTE_PROVIDERS: Form(400, INVALID, "provider_not_in_allowlist"),
        Kind.ROUTE_EXCLUDED: Form(400, INVALID, "provider_blocked"),
        Kind.ROUTE_PARAMETERS: Form(400, INVALID, "required_params_not_supported"),
        Kind.ROUTE_OWN_KEYS: Form(400, INVALID, "byok_keys_required"),
        Kind.ROUTE_PLATFORM_KEYS: Form(400, INVALID, "platform_keys_unavailable"),
        Kind.ROUTE_NONE: Form(400, INVALID, "no_compatible_endpoint"),
        Kind.OWN_KEY_REFUSED: Form(400, INVALID, "byok_keys_required", retry=False),
        Kind.INTERNAL: Form(500, API, "internal_error"),
        Kind.UPSTREAM_UNREACHABLE: Form(502, API, "upstream_error"),
        Kind.UPSTREAM_INVALID: Form(502, API, "upstream_error"),
        Kind.UPSTREAM_REFUSED_KEY: Form(502, API, "upstream_error", retry=False),
        Kind.UPSTREAM_TIMEOUT: Form(504, API, "upstream_timeout"),
        Kind.UPSTREAM_BUSY: Form(503, API, "service_unavailable"),
        Kind.UPSTREAM_NONE_LEFT: Form(503, API, "no_provider_available"),
        Kind.UPSTREAM_INTERRUPTED: Form(502, API, "upstream_error"),
        Kind.COMPLETION_NOT_FOUND: Form(404, NOT_FOUND, "resource_not_found"),
        Kind.COMPLETION_OVER: _STATE,
        Kind.COMPLETION_NOT_CANCELLABLE: _STATE,
        Kind.COMPLETION_CANCELLED: _STATE,
        Kind.COMPLETION_LEFT: _STATE,
        Kind.COMPLETIONS_UNAVAILABLE: Form(503, API, "service_unavailable"),
        Kind.SHUTTING_DOWN: Form(503, API, "service_unavailable"),
    }
)


def auriko_error_fields(failure: Failure) -> list[tuple[bytes, bytes]]:
    """Return the fields that tell of an error: its type, whose it is, whether to try again."""
    form = failure.form
    again = form.type in RETRIED and form.code not in FINAL and form.retry is not False
    fields = [
        (b"x-error-type", form.type.encode()),
        (b"x-error-retryable", b"true" if again else b"false"),
    ]
    route = failure.route
    if route is not None:
        fields.append((b"x-error-provider", route.target.encode("ascii", "replace")))
    if form.type == LIMITED:
        fields.append((SOURCE, b"gateway" if route is None else b"provider"))
    return fields


def auriko(*, docs: str | None = None, public_lists: bool = True) -> Dialect:
    """Return the dialect; `docs` is the address that `/` and an error's code are added to.

    Without it errors have no `doc_url`. With `public_lists`, who has no key is shown the lists of
    models and providers, though not the one that OpenAI has.
    """

    def members(failure: Failure) -> dict[str, Any]:
        said: dict[str, Any] = {
            "message": failure.said,
            "type": failure.form.type,
            "code": failure.form.code,
            "param": failure.param,
        }
        if docs is not None:
            said["doc_url"] = f"{docs}/{failure.form.code}"
        if failure.route is not None:
            said["provider"] = failure.route.target
        if failure.suggestion is not None:
            said["suggestion"] = failure.suggestion
        if failure.request_id is not None:
            said["request_id"] = failure.request_id
        return said

    return msgspec.structs.replace(
        OPENAI,
        name="auriko",
        forms=FORMS,
        keeps_foreign=False,
        me=auriko_me,
        shows_usage=True,
        output_text=True,
        keeps_answers=False,
        metadata=auriko_metadata,
        gateway=True,
        error_fields=auriko_error_fields,
        wait=1,
        body=body_of(members),
        event=event_of(members),
        rate_limit_fields=auriko_fields,
        balance=auriko_balance,
        budget_fields=auriko_budget_fields,
        model=auriko_model,
        models=auriko_models,
        lists=LISTS,
        public=tuple(LISTS) if public_lists else (),
        exposed=(
            *OPENAI.exposed,
            "X-Rate-Limit-Source",
            "X-Credits-Balance-Microdollars",
            "X-Budget-Daily-Limit",
            "X-Budget-Daily-Spend",
            "X-Budget-Weekly-Limit",
            "X-Budget-Weekly-Spend",
            "X-Budget-Monthly-Limit",
            "X-Budget-Monthly-Spend",
            "X-Budget-Exceeded",
            "X-Budget-Exceeded-Period",
            "X-Budget-Exceeded-Scope",
            "X-Error-Type",
            "X-Error-Provider",
            "X-Error-Retryable",
        ),
    )
