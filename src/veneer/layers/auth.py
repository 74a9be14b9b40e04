"""Auth: a credential becomes a Principal, or a refusal.

Answers 400 and 401 for what is no credential or is not accepted, 403 for what its principal may not
do, 429 for a peer that guesses, 503 while nobody can tell. Everything is judged before the body is
read. Reads nothing; writes `Principal`. Stands below what stamps headers and mends errors, above
all that charges or limits.
"""

import logging
import math
from collections.abc import Awaitable, Iterable
from contextlib import AbstractAsyncContextManager
from types import MappingProxyType

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from veneer import facts
from veneer.auth import scopes
from veneer.auth.credentials import CHALLENGE, DEFAULT, Credentials
from veneer.auth.guesses import Guesses
from veneer.auth.paths import Paths, Public
from veneer.auth.peers import Peers
from veneer.auth.verifier import Denial, Verifier, lifespan_of, principals_of, recall_of
from veneer.dialects import Kind
from veneer.errors import Error, Field
from veneer.facts import Principal
from veneer.layer import Layer
from veneer.wiring import ConfigurationError, chain

logger = logging.getLogger("veneer.auth")

# Seconds after which a client may try again when nobody could tell whether its key is good.
RETRY_AFTER = 2

UNKNOWN = Error(Kind.KEY_UNKNOWN, "This API key is not known here.", headers=CHALLENGE)
REFUSALS = MappingProxyType(
    {
        Denial.UNKNOWN: UNKNOWN,
        Denial.MALFORMED: UNKNOWN,
        Denial.REVOKED: Error(
            Kind.KEY_REVOKED, "This API key has been revoked.", headers=CHALLENGE
        ),
        Denial.EXPIRED: Error(Kind.KEY_EXPIRED, "This API key has expired.", headers=CHALLENGE),
        Denial.NOT_YET_VALID: Error(
            Kind.KEY_NOT_YET_VALID, "This API key is not valid yet.", headers=CHALLENGE
        ),
    }
)
UNAVAILABLE = Error(
    Kind.KEYS_UNAVAILABLE,
    "API keys cannot be checked at present. Try again in a moment.",
    headers=((b"retry-after", b"%d" % RETRY_AFTER),),
)
UNENFORCED = Error(
    Kind.PERMISSION, "This key is held to certain models, and nothing here can hold it to them."
)

PUBLIC = Public()


class AuthMiddleware(Layer):
    """Asks for a key on every path but the `public` ones, and has `verifier` say whose it is.

    `credentials` are the fields that may hold one; below this layer they are gone, and so are those
    that held none. With `sec-websocket-protocol` among them, browsers may show a key in a
    WebSocket's handshake. `public` and `admin` name paths (`/docs`, `/docs/*`): the first need no
    key and are passed on as they came, the others need the scope `admin` and no other.
    `trusted_proxies` (addresses, networks) may say in `X-Forwarded-For` whom they speak for; it is
    `guesses` that counts by it whose keys were refused.

    Raises ValueError for options that cannot be, and `ConfigurationError` where the verifier knows
    a key that is held to models while no layer below `enforces` them.
    """

    writes = (Principal,)

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        app: ASGIApp,
        *,
        verifier: Verifier,
        credentials: Iterable[str] = DEFAULT,
        public: Iterable[str] = (),
        admin: Iterable[str] = (),
        trusted_proxies: Iterable[str] = (),
        guesses: Guesses | None = None,
    ) -> None:
        super().__init__(app)
        self._verifier = verifier
        self._recall = recall_of(verifier)
        self._credentials = Credentials(credentials)
        self._public = Paths(public, option="public") or None
        self._admin = Paths(admin, option="admin") or None
        self._peers = Peers(trusted_proxies)
        self._guesses = guesses or Guesses()
        self._models_enforced = any(
            "models" in getattr(part, "enforces", ()) for part in chain(app)
        )
        for principal in principals_of(verifier):
            scopes.check(principal)
            if principal.models is not None and not self._models_enforced:
                raise ConfigurationError(
                    f"The key {principal.id!r} is held to models, which no layer below "
                    "AuthMiddleware enforces: add one that does, or take its models out."
                )

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the verifier's own lifespan."""
        return lifespan_of(self._verifier)

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass the request on with its principal and without its credential, or refuse it."""
        if self._public is not None and self._public.certainly_hold(scope):
            facts.put(scope, PUBLIC)
            return self.below(scope, receive, send)
        shown = self._credentials.read(scope["headers"])
        # Not isinstance: the classes of structs take long to say no.
        if type(shown) is Error:
            return shown(scope, receive, send)
        credential, headers = shown.credential, shown.headers
        if credential is None:
            return self._credentials.missing(scope, receive, send)
        # Most keys come again and again, and cost no coroutine here.
        principal = self._recall(credential) if self._guesses.quiet else None
        if principal is None:
            return self._ask(credential, headers, scope, receive, send)
        return self._pass(principal, headers, scope, receive, send)

    async def _ask(
        self, credential: str, headers: list[Field], scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Have the verifier say whose credential this is, and go by that."""
        answer = await self._verify(scope, credential)
        await self._pass(answer, headers, scope, receive, send)

    def _pass(
        self,
        answer: Principal | Denial,
        headers: list[Field],
        scope: Scope,
        receive: Receive,
        send: Send,
    ) -> Awaitable[None]:
        judged = self._judge(scope, answer)
        if type(judged) is Error:
            return judged(scope, receive, send)
        scope[facts.SCOPE_KEY][Principal] = judged
        return self.below({**scope, "headers": headers}, receive, send)

    async def handle_websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Do the same for a WebSocket, before it is accepted."""
        if self._public is not None and self._public.certainly_hold(scope):
            facts.put(scope, PUBLIC)
            await self.app(scope, receive, send)
            return
        if self._lifetime is not None and not self._lifetime.started:
            await self._lifetime.start()
        shown, offered = self._credentials.read_websocket(scope)
        if isinstance(shown, Error):
            await _deny(shown, scope, receive, send)
            return
        if shown.credential is None:
            await _deny(self._credentials.missing, scope, receive, send)
            return
        judged = self._judge(scope, await self._verify(scope, shown.credential))
        if isinstance(judged, Error):
            await _deny(judged, scope, receive, send)
            return
        scope = {**scope, "headers": shown.headers, "subprotocols": offered}
        facts.put(scope, judged)
        await self.app(scope, receive, send)

    def _verify(self, scope: Scope, credential: str) -> Awaitable[Principal | Denial]:
        """Have the verifier say whose credential this is."""
        if self._guesses.quiet:
            return self._verifier.verify(credential)
        return self._verify_in_turn(scope, credential)

    def _judge(self, scope: Scope, answer: Principal | Denial) -> Principal | Error:
        """Return whose credential this is, or why the request does not pass."""
        if not isinstance(answer, Principal):
            return self._refusal(scope, answer)
        if self._admin is not None and self._admin.hold(scope):
            return scopes.admin_refusal(answer) or answer
        if answer.models is not None and not self._models_enforced:
            logger.error(
                "the key %s is held to models, which no layer below AuthMiddleware enforces: "
                "it is refused until one is added",
                answer.id,
            )
            return UNENFORCED
        return scopes.refusal(scope, answer) or answer

    async def _verify_in_turn(self, scope: Scope, credential: str) -> Principal | Denial:
        """Verify a credential while somebody guesses; one who does has few turns at a time."""
        peer = self._peers.of(scope)
        if not self._guesses.over(peer) or self._guesses.is_good(credential):
            return await self._verifier.verify(credential)
        async with self._guesses.turn(peer):
            answer = await self._verifier.verify(credential)
        if isinstance(answer, Principal):
            self._guesses.remember(credential)
        return answer

    def _refusal(self, scope: Scope, denial: Denial) -> Error:
        if denial is Denial.UNAVAILABLE:
            return UNAVAILABLE
        wait = self._guesses.failed(self._peers.of(scope))
        if not wait:
            return REFUSALS[denial]
        return Error(
            Kind.TOO_MANY_ATTEMPTS,
            "Too many keys from your address were refused. Try again later.",
            headers=((b"retry-after", b"%d" % math.ceil(wait)),),
        )


async def _deny(error: Error, scope: Scope, receive: Receive, send: Send) -> None:
    """Refuse a handshake: with the whole error where the server can send it, else with a 403.

    ASGI's extension "WebSocket Denial Response"; a close before the accept is a 403.
    """
    await receive()
    if "websocket.http.response" not in (scope.get("extensions") or {}):
        await send({"type": "websocket.close", "code": 1008})
        return

    async def send_denial(message: Message) -> None:
        await send({**message, "type": f"websocket.{message['type']}"})

    await error({**scope, "method": "GET"}, receive, send_denial)
