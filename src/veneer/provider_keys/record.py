"""What a store knows of a key that a caller has of its own for a provider."""

from datetime import datetime
from typing import Literal

import msgspec

from veneer.facts import Principal

OwnerKind = Literal["team", "key"]


class Owner(msgspec.Struct, frozen=True):
    """Whose key it is: a team's, for all who call on its account, or that of one key's holder."""

    kind: OwnerKind
    id: str


class ProviderKeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's own key for a provider, as it is stored.

    `provider` is the name of the target that it is for. `sealed` is the key, encrypted under the
    secret of the id `seal`; `shown` is how it is recognised. `created_at` is aware.
    """

    owner: Owner
    provider: str
    seal: str
    sealed: str
    shown: str
    created_at: datetime


def owners_of(principal: Principal) -> list[Owner]:
    """Return whose keys a caller may use, those that go before last."""
    own = Owner("key", principal.id)
    return [own] if principal.team is None else [Owner("team", principal.team), own]
