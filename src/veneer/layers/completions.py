"""Completions: those of chats can be asked for again by their id, and ended while they run.

Answers `GET /chat/completions/{id}` and `POST /chat/completions/{id}/cancel`: 404 for an id that
the caller's team does not have, 409 for a call that cannot be ended, 503 while nobody can tell.
Reads `Principal`; writes `Call`. Stands below what replays answers, so that a replay has the id of
the first, and above what counts tokens and money, which ends with the call.

1. Ids are ours (`cmp_` and a ULID) in place of the upstream's, which may repeat, and which of two
   servers may be the same.
2. Who cancels a call ends it as its client does by leaving: that is what all below know, down to
   the model server. The client itself stays, and gets a proper end.
"""

from contextlib import AbstractAsyncContextManager
from types import MappingProxyType
from urllib.parse import unquote

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.answers import ONLY_READ, send_document
from veneer.call import Call, read_call
from veneer.client import Client, ClientDisconnectedError
from veneer.completions.register import Register, Why
from veneer.dialects import Kind
from veneer.errors import BrokenResponseError, Error
from veneer.facts import Principal
from veneer.idempotency.memory import MemoryRecordingStore
from veneer.idempotency.store import RecordingStore, StoreUnavailableError
from veneer.layer import Layer
from veneer.layers._kept import Kept, Terms
from veneer.members import may_have
from veneer.operations import Endpoint, endpoint_of
from veneer.prices.credits import Credits
from veneer.wire import splice

CHAT = "chat.completions"
STORED = "chat.completions.stored"
PREFIX = b"chat/completions/"
CANCEL = "/cancel"

_STORE = (b'"store"',)

DEFAULT_MAX_BYTES = 64 * 1024 * 1024

NOT_FOUND = Error(Kind.NOT_FOUND, "There is no completion of this id.")
UNKNOWN = Error(Kind.UNKNOWN_URL, "Of completions there are /{id} and /{id}/cancel.")
ONLY_POST = Error(
    Kind.METHOD_NOT_ALLOWED, "This path answers POST.", headers=((b"allow", b"POST"),)
)
UNAVAILABLE = Error(
    Kind.COMPLETIONS_UNAVAILABLE,
    "Completions cannot be looked up right now. Try again later.",
    headers=((b"retry-after", b"1"),),
)
REFUSALS = MappingProxyType[Why, Error](
    {
        "unknown": Error(
            Kind.COMPLETION_NOT_FOUND, "There is no completion of this id to be cancelled."
        ),
        "over": Error(Kind.COMPLETION_OVER, "The completion is over: nothing is to be cancelled."),
        "stuck": Error(
            Kind.COMPLETION_NOT_CANCELLABLE, "The completion could not be cancelled in time."
        ),
    }
)


class CompletionsMiddleware(Layer):
    """Keeps the completions of chats, for those of the team that asked for them.

    `store` keeps them (this process's memory, if none is given: 64 MiB) for `ttl` seconds. What is
    kept is the answer, never the question: of one over `max_answer` bytes, of all without
    `content`, and of calls that say `"store": false`, only how it ended and what it used. Streams
    are kept as the completions that plain calls would have got. `credits` is what a credit is worth
    where the end of a call that was cancelled tells what it cost.

    A call that fails before its answer begins has no id that anybody knows, and is not kept. While
    the store is away, calls are made all the same, and not kept.

    Raises ValueError for options that cannot be.
    """

    reads = (Principal,)
    writes = (Call,)
    own_operations = frozenset([STORED])

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and all have a default
        self,
        app: ASGIApp,
        *,
        store: RecordingStore | None = None,
        ttl: float = 86400.0,
        content: bool = True,
        max_answer: int = 1024 * 1024,
        credits: Credits | None = None,  # noqa: A002 - the option's name
    ) -> None:
        if ttl <= 0 or max_answer < 1:
            raise ValueError(f"ttl is {ttl} and max_answer {max_answer}: give positive numbers.")
        super().__init__(app)
        if store is None:
            store = MemoryRecordingStore(max_bytes=DEFAULT_MAX_BYTES)
        self._register = Register(store, ttl=ttl)
        worth = Credits() if credits is None else credits
        self._terms = Terms(content, max_answer, worth)
        self._secret = Terms(content=False, limit=max_answer, credits=worth)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the store's own lifespan."""
        return self._register.lifespan()

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Make a chat with an id, answer who asks for one, or pass on what is neither."""
        known = scope[facts.SCOPE_KEY]
        endpoint: Endpoint | None = known.get(Endpoint) or endpoint_of(scope)
        owner: Principal | None = known.get(Principal)
        name = None if endpoint is None or owner is None else endpoint.operation.name
        if owner is not None and endpoint is not None and name == STORED:
            await self._tell(owner, endpoint, scope, receive, send)
        elif owner is not None and name == CHAT and scope["method"] == "POST":
            call = known.get(Call) or await read_call(scope, receive)
            if isinstance(call, Error):
                await call(scope, receive, send)
            else:
                await self._make(owner, call, scope, receive, send)
        else:
            await self.below(scope, receive, send)

    async def _make(
        self, owner: Principal, call: Call, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Make a call, and keep what it comes to."""
        client: Client = scope[facts.SCOPE_KEY][Client]
        terms = self._secret if _is_secret(client.kept) else self._terms
        run = await self._register.enter(owner, client, call.model or "")
        kept = Kept(scope, send, call, run, terms)
        left = False
        try:
            async with run.begin():
                await self.below(scope, receive, kept.send)
        except (ClientDisconnectedError, BrokenResponseError, TimeoutError) as error:
            left = isinstance(error, ClientDisconnectedError)
            if not run.cancelled:
                raise
        finally:
            left = left or client.disconnected
            await run.close(kept.result(left=left))
        if run.cancelled:
            await kept.end()

    async def _tell(
        self, owner: Principal, endpoint: Endpoint, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Answer a request for one completion, or to end it."""
        tail = unquote(endpoint.path.removeprefix(PREFIX).decode("ascii"))
        name = tail.removesuffix(CANCEL)
        cancels = name != tail
        method = scope["method"]
        answer: bytes | Error
        if not name or "/" in name or not endpoint.path.startswith(PREFIX):
            answer = UNKNOWN
        elif cancels and method != "POST":
            answer = ONLY_POST
        elif not cancels and method not in ("GET", "HEAD"):
            answer = ONLY_READ
        else:
            answer = await self._look_up(owner, name, cancels=cancels)
        if isinstance(answer, Error):
            await answer(scope, receive, send)
        else:
            await send_document(scope, send, answer)

    async def _look_up(self, owner: Principal, name: str, *, cancels: bool) -> bytes | Error:
        try:
            if not cancels:
                return await self._register.find(owner, name) or NOT_FOUND
            answer = await self._register.cancel(owner, name)
        except StoreUnavailableError:
            return UNAVAILABLE
        return answer if isinstance(answer, bytes) else REFUSALS[answer]


def _is_secret(body: bytes) -> bool:
    """Whether a call asks for its answer not to be kept."""
    if not may_have(body, _STORE):
        return False
    try:
        return splice.value(body, ("store",)) == b"false"
    except ValueError:
        return False
