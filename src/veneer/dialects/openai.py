"""OpenAI's way of speaking, as its API reference and its clients have it."""

from types import MappingProxyType
from typing import Any

from veneer.dialects.balances import openai_balance
from veneer.dialects.dialect import Dialect, Failure, Form
from veneer.dialects.envelope import body_of, event_of
from veneer.dialects.kinds import Kind
from veneer.dialects.rate_limits import openai_fields
from veneer.dialects.receipts import openai_cost_fields, openai_receipt

INVALID = "invalid_request_error"
SERVER = "server_error"
BUSY = "service_unavailable_error"
QUOTA = "insufficient_quota"

# One form for every key that is not accepted: a 401 does not tell whether a key once existed.
REFUSED_KEY = Form(
    401,
    INVALID,
    "invalid_api_key",
    message="Incorrect API key provided. Check it, or ask whoever issued it for a new one.",
)

FORMS = MappingProxyType(
    {
        Kind.INVALID_JSON: Form(400, INVALID, "invalid_json"),
        Kind.INVALID_REQUEST: Form(400, INVALID),
        Kind.INVALID_TYPE: Form(400, INVALID, "invalid_type"),
        Kind.INVALID_VALUE: Form(400, INVALID, "invalid_value"),
        Kind.UNSUPPORTED_PARAMETER: Form(400, INVALID, "unsupported_parameter"),
        Kind.UNKNOWN_PARAMETER: Form(400, INVALID, "unknown_parameter"),
        Kind.MISSING_PARAMETER: Form(400, INVALID, "missing_required_parameter"),
        Kind.OUT_OF_RANGE: Form(400, INVALID, "invalid_value"),
        Kind.UNKNOWN_VERSION: Form(400, INVALID, "unknown_version"),
        Kind.AUTHENTICATION: Form(401, INVALID, "invalid_api_key"),
        Kind.KEY_MISSING: Form(401, INVALID),
        Kind.KEY_MALFORMED: Form(401, INVALID, "invalid_api_key"),
        Kind.KEY_UNKNOWN: REFUSED_KEY,
        Kind.KEY_REVOKED: REFUSED_KEY,
        Kind.KEY_EXPIRED: REFUSED_KEY,
        Kind.KEY_NOT_YET_VALID: REFUSED_KEY,
        Kind.KEYS_UNAVAILABLE: Form(503, BUSY, "keys_unavailable"),
        Kind.TOO_MANY_ATTEMPTS: Form(429, "requests", "too_many_attempts", retry=False),
        Kind.SCOPE_MISSING: Form(403, INVALID, "missing_scope"),
        Kind.PERMISSION: Form(403, INVALID, "permission_denied"),
        Kind.UNKNOWN_URL: Form(404, INVALID, "unknown_url"),
        Kind.NOT_FOUND: Form(404, INVALID, "not_found"),
        Kind.NOT_SERVED: Form(404, INVALID, "operation_not_served"),
        Kind.METHOD_NOT_ALLOWED: Form(405, INVALID, "method_not_allowed"),
        Kind.REQUEST_TIMEOUT: Form(408, INVALID, "request_timeout"),
        Kind.CONFLICT: Form(409, INVALID, "conflict"),
        Kind.IDEMPOTENCY_IN_FLIGHT: Form(409, INVALID, "idempotency_key_in_use"),
        Kind.IDEMPOTENCY_NOT_KEPT: Form(
            409, INVALID, "idempotency_replay_unavailable", retry=False
        ),
        Kind.IDEMPOTENCY_MISMATCH: Form(422, INVALID, "idempotency_key_reused", retry=False),
        Kind.IDEMPOTENCY_UNAVAILABLE: Form(503, BUSY, "idempotency_unavailable"),
        Kind.BODY_TOO_LARGE: Form(413, INVALID, "request_too_large"),
        Kind.UNSUPPORTED_MEDIA_TYPE: Form(415, INVALID, "unsupported_media_type"),
        Kind.UNPROCESSABLE: Form(422, INVALID, "unprocessable"),
        Kind.REQUESTS_LIMITED: Form(429, "requests", "rate_limit_exceeded"),
        Kind.TOKENS_LIMITED: Form(429, "tokens", "rate_limit_exceeded"),
        Kind.CONCURRENCY_LIMITED: Form(429, "requests", "concurrency_limit_exceeded"),
        Kind.OVER_WHOLE_LIMIT: Form(429, "tokens", "rate_limit_exceeded", retry=False),
        Kind.LIMITS_UNAVAILABLE: Form(503, BUSY, "limits_unavailable"),
        Kind.BUDGET_EXHAUSTED: Form(429, QUOTA, "insufficient_quota", retry=False),
        Kind.BALANCE_TOO_LOW: Form(429, QUOTA, "credit_balance_exhausted", retry=False),
        Kind.LEDGER_UNAVAILABLE: Form(503, BUSY, "ledger_unavailable"),
        Kind.MODEL_NOT_PRICED: Form(400, INVALID, "model_not_priced"),
        Kind.MODEL_NOT_FOUND: Form(404, INVALID, "model_not_found"),
        Kind.MODEL_WRONG_KIND: Form(400, INVALID, "model_wrong_kind"),
        Kind.CONTEXT_EXCEEDED: Form(400, INVALID, "context_length_exceeded"),
        Kind.OUTPUT_CAP_EXCEEDED: Form(400, INVALID, "invalid_value"),
        Kind.TOOLS_UNSUPPORTED: Form(400, INVALID, "unsupported_parameter"),
        Kind.TOOL_CHOICE_UNSUPPORTED: Form(400, INVALID, "unsupported_value"),
        Kind.VISION_UNSUPPORTED: Form(400, INVALID, "unsupported_value"),
        Kind.JSON_MODE_UNSUPPORTED: Form(400, INVALID, "unsupported_value"),
        Kind.JSON_SCHEMA_UNSUPPORTED: Form(400, INVALID, "unsupported_value"),
        Kind.REASONING_UNSUPPORTED: Form(400, INVALID, "unsupported_parameter"),
        Kind.STREAMING_UNSUPPORTED: Form(400, INVALID, "unsupported_value"),
        Kind.EMBEDDINGS_BATCH: Form(400, INVALID, "embeddings_batch_not_supported"),
        Kind.EMBEDDINGS_TOO_MANY: Form(400, INVALID, "array_above_max_length"),
        Kind.EMBEDDINGS_TOO_LARGE: Form(400, INVALID, "string_above_max_length"),
        Kind.EMBEDDINGS_MEDIA: Form(400, INVALID, "unsupported_value"),
        Kind.EMBEDDINGS_DIMENSIONS: Form(400, INVALID, "unsupported_value"),
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
        Kind.INTERNAL: Form(500, SERVER),
        Kind.UPSTREAM_UNREACHABLE: Form(502, SERVER, "upstream_unreachable"),
        Kind.UPSTREAM_INVALID: Form(502, SERVER, "upstream_invalid_response"),
        Kind.UPSTREAM_REFUSED_KEY: Form(502, SERVER, "upstream_refused_key", retry=False),
        Kind.UPSTREAM_TIMEOUT: Form(504, SERVER, "upstream_timeout"),
        Kind.UPSTREAM_BUSY: Form(503, BUSY, "server_is_overloaded"),
        Kind.UPSTREAM_NONE_LEFT: Form(503, BUSY, "no_provider_available"),
        Kind.UPSTREAM_INTERRUPTED: Form(502, SERVER, "upstream_interrupted"),
        Kind.COMPLETION_NOT_FOUND: Form(404, INVALID, "chat_cancel_target_not_found"),
        Kind.COMPLETION_OVER: Form(
            409, INVALID, "chat_cancel_target_already_terminal", retry=False
        ),
        Kind.COMPLETION_NOT_CANCELLABLE: Form(
            409, INVALID, "chat_cancel_target_not_cancellable", retry=False
        ),
        Kind.COMPLETION_CANCELLED: Form(409, INVALID, "cancelled_by_request"),
        Kind.COMPLETION_LEFT: Form(409, INVALID, "cancelled_client_disconnect"),
        Kind.COMPLETIONS_UNAVAILABLE: Form(503, BUSY, "completions_unavailable"),
        Kind.SHUTTING_DOWN: Form(503, BUSY, "server_is_shutting_down"),
    }
)


def members(failure: Failure) -> dict[str, Any]:
    """Return the members of an error: the schema requires four, clients ignore the fifth."""
    said: dict[str, Any] = {
        "message": failure.said,
        "type": failure.form.type,
        "param": failure.param,
        "code": failure.form.code,
    }
    if failure.request_id is not None:
        said["request_id"] = failure.request_id
    return said


OPENAI = Dialect(
    name="openai",
    forms=FORMS,
    body=body_of(members),
    event=event_of(members),
    request_id_headers=(b"x-request-id",),
    rate_limit_fields=openai_fields,
    receipt=openai_receipt,
    cost_fields=openai_cost_fields,
    balance=openai_balance,
    version=(b"openai-version", b"2020-10-01"),
    keeps_foreign=True,
    exposed=(
        "X-Request-ID",
        "OpenAI-Processing-Ms",
        "OpenAI-Version",
        "Retry-After",
        "Retry-After-Ms",
        "X-Should-Retry",
        "X-Cost-USD",
        "Server-Timing",
        "Idempotent-Replayed",
        "Idempotency-Status",
        "X-RateLimit-Limit-Requests",
        "X-RateLimit-Remaining-Requests",
        "X-RateLimit-Reset-Requests",
        "X-RateLimit-Limit-Tokens",
        "X-RateLimit-Remaining-Tokens",
        "X-RateLimit-Reset-Tokens",
        "RateLimit-Policy",
        "RateLimit",
    ),
)
