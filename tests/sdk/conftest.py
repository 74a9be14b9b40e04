"""The whole stack in the dialects of both services, our clients before it, and what it tells."""

import re
from collections.abc import AsyncIterator, Callable, Iterator

import pytest

from tests.dialects.served import Served, served
from veneer.sdk import AsyncOpenAI, CallMetadata, OpenAI

ID = re.compile(r"req_[0-9A-HJKMNP-TV-Z]{26}").fullmatch
Check = Callable[[CallMetadata | None], CallMetadata]
DIALECTS = ("aurous", "auriko")


@pytest.fixture(scope="module", params=DIALECTS)
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def stack(dialect: str) -> Iterator[Served]:
    with served({"name": dialect}) as found:
        yield found


@pytest.fixture
def client(stack: Served) -> Iterator[OpenAI]:
    with OpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


@pytest.fixture
async def async_client(stack: Served) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=stack.url, api_key=stack.key, max_retries=0) as made:
        yield made


@pytest.fixture
def check(dialect: str) -> Check:
    """Return what looks at all that a dialect tells of a good call."""

    def looked(told: CallMetadata | None) -> CallMetadata:
        assert told is not None
        assert told.status == 200
        assert ID(told.request_id or "")
        assert told.receipt is not None
        assert told.receipt.total > 0
        if dialect == "aurous":
            assert told.receipt.unit == "credit"
            assert sum(told.receipt.parts.values()) == told.receipt.total
            assert told.routing is None
        else:
            assert told.receipt.unit == "usd"
            assert told.routing is not None
            assert told.routing.provider == "demo"
            assert told.routing.cost is not None
            assert told.routing.cost.usd == told.receipt.total
        return told

    return looked
