"""The errors of a service, as types of their own, under one base."""


class VeneerAPIError(Exception):
    """A call that failed, with what the service said of it.

    `status` is that of the response, None where there was none or where it broke off after a good
    one; `upstream_status` is that of the model server behind, where it is told. `code`, `type` and
    `param` are the service's own words. `retry_after_seconds` is after what time to try again,
    `provider` whose error it is, `suggestion` what to change, `doc_url` where to read about it.
    What is not told is None.
    """

    def __init__(  # noqa: PLR0913 - each is a member of an error
        self,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - the API's own name for it
        code: str | None = None,
        param: str | None = None,
        status: int | None = None,
        upstream_status: int | None = None,
        request_id: str | None = None,
        retry_after_seconds: float | None = None,
        provider: str | None = None,
        suggestion: str | None = None,
        doc_url: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.type = type
        self.code = code
        self.param = param
        self.status = status
        self.upstream_status = upstream_status
        self.request_id = request_id
        self.retry_after_seconds = retry_after_seconds
        self.provider = provider
        self.suggestion = suggestion
        self.doc_url = doc_url


class BadRequestError(VeneerAPIError):
    """The request cannot be served as it is: 400, 405, 413, 422 and their like."""


class AuthenticationError(VeneerAPIError):
    """The key is missing or not accepted: 401."""


class PermissionDeniedError(VeneerAPIError):
    """The key may not do this: 403."""


class NotFoundError(VeneerAPIError):
    """There is no such model, URL or object: 404, 410."""


class ConflictError(VeneerAPIError):
    """The request is at odds with another, such as one under the same idempotency key: 409."""


class RateLimitError(VeneerAPIError):
    """Too much in too short a time: 429. Trying again later helps."""


class BudgetExhaustedError(VeneerAPIError):
    """A budget, quota or balance is spent: 402, or 429 with a code that says so.

    Trying again does not help; hence it is no `RateLimitError`.
    """


class UpstreamError(VeneerAPIError):
    """The model server failed or is busy, or the service cannot take calls now: 502, 503, 529."""


class APITimeoutError(VeneerAPIError):
    """It took too long: 408, 504, or nothing came in the time that the client waits."""


class APIConnectionError(VeneerAPIError):
    """The service was not reached, or the connection broke; there is no answer."""


class InternalServerError(VeneerAPIError):
    """The service failed, and nobody says why: 500, and whatever is not known."""
