"""Compatibility: chat completions in the words that one target knows, and answers in the client's.

Answers 400 for what cannot be said to the target (`functions` beside `tools`, a result of a
function that was not called, several calls forced where one can be), and for calls that no target
could serve: no messages, an unknown `tool_choice`. Reads nothing; writes `Call`, and `Unreached`
for what it refuses. Stands innermost, around the one target that it is about: so all above it, the
relay included, see what the client wrote and what the client gets.
"""

from collections.abc import Awaitable

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.call import Call, read_call
from veneer.client import Client
from veneer.compat.request import Translated, translated
from veneer.compat.target import Cap, Target
from veneer.errors import Error
from veneer.facts import Unreached
from veneer.layer import Layer
from veneer.layers._translated import TranslatedAnswer
from veneer.operations import Endpoint, endpoint_of
from veneer.wire.framing import uncoded


class CompatMiddleware(Layer):
    """Speaks to a target that does not know every way to ask for a chat completion.

    `legacy_functions`: it knows only tools; clients that say `functions` and `function_call` are
    served all the same, and see the first call that the model makes. With `parallel_tool_calls` it
    is asked for one call at a time, which some models refuse to be. `functions_only` is the
    reverse: it knows only functions, and clients say `tools`; then leave `legacy_functions` off.

    With `check`, a call without messages, or with a `tool_choice` that OpenAI does not know, is not
    left to it. `max_tokens` is the name that it has for the cap of an answer, where it knows one of
    `max_tokens` and `max_completion_tokens`. Without `developer_role`, messages of developers are
    given to it as the system's.
    """

    writes = (Call, Unreached)

    def __init__(  # noqa: PLR0913 - each is a flag of the target, with a default
        self,
        app: ASGIApp,
        *,
        legacy_functions: bool | None = None,
        functions_only: bool = False,
        max_tokens: Cap | None = None,
        developer_role: bool = True,
        parallel_tool_calls: bool = True,
        check: bool = True,
    ) -> None:
        super().__init__(app)
        self._target = Target(
            legacy_functions=not functions_only if legacy_functions is None else legacy_functions,
            functions_only=functions_only,
            max_tokens=max_tokens,
            developer_role=developer_role,
            parallel_tool_calls=parallel_tool_calls,
            check=check,
        )

    def handle(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        """Pass a call on in the target's words, or refuse it."""
        known = scope[facts.SCOPE_KEY]
        endpoint = known.get(Endpoint) or endpoint_of(scope)
        if endpoint is None or endpoint.operation.name != "chat.completions":
            return self.below(scope, receive, send)
        if Call in known:
            return self._translate(scope, receive, send)
        return self._read(scope, receive, send)

    async def _read(self, scope: Scope, receive: Receive, send: Send) -> None:
        call = await read_call(scope, receive)
        if isinstance(call, Error):
            await call(scope, receive, send)
        else:
            await self._translate(scope, receive, send)

    def _translate(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        client = scope[facts.SCOPE_KEY][Client]
        body = client.kept
        asked = translated(body, self._target)
        if not isinstance(asked, Translated):
            facts.put(scope, Unreached())
            return asked(scope, receive, send)
        if asked.body is not body:
            scope = client.replace_body(scope, asked.body)
        if asked.answers is not None:
            scope = {**scope, "headers": uncoded(scope["headers"])}
            send = TranslatedAnswer(asked.answers, send).send
        return self.below(scope, receive, send)
