"""What is known of a key; the secret itself is known only to whoever was shown it."""

from collections.abc import Mapping
from datetime import datetime

import msgspec


class KeyRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A key as it is stored.

    `id` names it in logs and commands; `shown` is how it is recognised (`vnr_…Q7xZ`: prefix and
    last four). `digest` is the HMAC of the secret under the pepper named `pepper_id`. Whoever uses
    it acts as `user` on the account of `team`. `scopes` are those of the API (`read`, `write`,
    `full`, `admin`); `operations` and `models` narrow them: the names of operations, and patterns
    of model names, each None for all. `limits` and `budgets` override those of the configuration,
    in its notation. All times are aware, in UTC; None means from the beginning, or for ever. A key
    with `revoked_at` is revoked, be that time in the future: machines disagree about the time, and
    for a later end there is `expires_at`. `revision` counts the writes to this record: the store
    sets it and refuses a replacement made from an older one.
    """

    id: str
    digest: str
    pepper_id: str
    shown: str
    name: str
    created_at: datetime
    team: str | None = None
    user: str | None = None
    scopes: frozenset[str] = frozenset({"write"})
    operations: frozenset[str] | None = None
    models: tuple[str, ...] | None = None
    limits: Mapping[str, str] = {}
    budgets: Mapping[str, str] = {}
    tags: tuple[str, ...] = ()
    not_before: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None
    rotated_from: str | None = None
    revision: int = 0
