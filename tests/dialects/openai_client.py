"""What OpenAI's own client makes of an error."""

import httpx2
import openai
import pytest


def raised_by(status: int, body: bytes) -> openai.APIStatusError:
    """Return what it raises for a response of this status and body."""
    response = httpx2.Response(
        status,
        content=body,
        headers={"content-type": "application/json", "x-request-id": "req_1"},
    )
    transport = httpx2.MockTransport(lambda _request: response)
    with (
        httpx2.Client(transport=transport) as http,
        openai.OpenAI(
            api_key="sk-test", base_url="http://veneer.test/v1", http_client=http, max_retries=0
        ) as client,
        pytest.raises(openai.APIStatusError) as caught,
    ):
        client.models.list()
    return caught.value
