"""The fields of a response that tell its caller how the quotas stand."""

import time
from collections.abc import MutableMapping
from typing import Any

from veneer import facts
from veneer.dialects import OPENAI, Dialect
from veneer.facts import Quotas


def quota_fields(scope: MutableMapping[str, Any]) -> list[tuple[bytes, bytes]]:
    """Return the fields, in the request's dialect and draft; none where nothing was judged.

    What begins a response above the layer that judges adds them itself.
    """
    known = scope[facts.SCOPE_KEY]
    quotas = known.get(Quotas)
    if quotas is None:
        return []
    dialect = known.get(Dialect) or OPENAI
    fields = dialect.rate_limit_fields(quotas.standings, time.time())
    return fields if quotas.draft is None else [*fields, *quotas.draft(quotas.standings)]
