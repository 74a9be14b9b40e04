"""The quota: a number of units in a window, as limiters count it."""

from typing import Literal

import msgspec

Unit = Literal["requests", "tokens", "concurrent-requests"]
OnFailure = Literal["open", "closed", "local"]

REQUESTS: Unit = "requests"
TOKENS: Unit = "tokens"
CONCURRENT: Unit = "concurrent-requests"


class Quota(msgspec.Struct, frozen=True, kw_only=True):
    """How many units there are, and in which time they come back.

    `limit` units come back evenly over `window` seconds; concurrent requests have no window: theirs
    come back when the calls end. `strict` counts so that no window whatever holds more than the
    limit; otherwise a full quota may be used at once, and what comes back besides. `on_failure` is
    what happens while whoever counts is out of reach: admit (`open`), refuse (`closed`), or count
    in this process alone (`local`). Counters go by `id`, the policy's name and the window.
    `rate` is the units that come back in a second. Both are worked out here.
    """

    policy: str
    unit: Unit
    limit: int
    window: float = 0.0
    strict: bool = False
    on_failure: OnFailure = "local"
    id: str = ""
    rate: float = 0.0

    def __post_init__(self) -> None:
        msgspec.structs.force_setattr(self, "id", f"{self.policy}/{self.window:.15g}")
        # What stands in a quota of nothing, from before it became one, has to flow out as well.
        rate = max(1, self.limit) / self.window if self.window > 0 else 0.0
        msgspec.structs.force_setattr(self, "rate", rate)


class Charge(msgspec.Struct, frozen=True):
    """What one request would take of one quota; a cost of 0 only asks how it stands.

    `partition` says whose counter it is; any strings, in any number.
    """

    quota: Quota
    partition: tuple[str, ...]
    cost: int
