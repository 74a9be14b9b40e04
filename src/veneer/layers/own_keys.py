"""Own keys: those that the caller has of its own for the targets of a router.

Needs no facts, and answers nothing itself; uses `Principal` and `Preferences`, if they are there,
and writes `OwnKeys` where the caller has any. Stands below what replays calls and limits them, so
that none of these asks for keys; above what holds money, which is not held while they are asked
for; and so above the router.
"""

import logging
from collections.abc import Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext

from starlette.types import ASGIApp, Receive, Scope, Send

from veneer import facts
from veneer.facts import OwnKeys, Principal
from veneer.layer import Layer
from veneer.provider_keys.source import ProviderKeys
from veneer.routing.preferences import NO_PREFERENCES, Preferences
from veneer.stores.unavailable import StoreUnavailableError

logger = logging.getLogger("veneer.keys")


class OwnKeysMiddleware(Layer):
    """Has calls made with the keys that their callers have of their own, by `keys`.

    `targets` are those that take such keys; others are not told of them. While `keys` cannot tell,
    calls go on without: with the operator's keys, or not at all where a call says `only_byok`.
    Calls that say `only_platform` ask nobody. Where `keys` have a `lifespan`, that is part of this
    one.
    """

    writes = (OwnKeys,)

    def __init__(self, app: ASGIApp, *, keys: ProviderKeys, targets: Iterable[str]) -> None:
        super().__init__(app)
        self._keys = keys
        self._targets = frozenset(targets)

    def lifespan(self) -> AbstractAsyncContextManager[object]:
        """Return the lifespan of whoever knows the keys."""
        found: AbstractAsyncContextManager[object]
        found = getattr(self._keys, "lifespan", nullcontext)()
        return found

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a call on, with the keys of its caller."""
        known = scope[facts.SCOPE_KEY]
        principal = known.get(Principal)
        preferences = known.get(Preferences) or NO_PREFERENCES
        if principal is not None and scope["method"] == "POST" and not preferences.only_platform:
            found = await self._find(principal)
            if found:
                known[OwnKeys] = OwnKeys(found)
        await self.below(scope, receive, send)

    async def _find(self, principal: Principal) -> Mapping[str, str]:
        try:
            found = await self._keys.find(principal)
        except StoreUnavailableError as error:
            logger.info("the own keys of %s are not known: %s", principal.id, error)
            return {}
        return {target: found[target] for target in self._targets & found.keys()}
