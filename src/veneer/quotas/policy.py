"""The quota policy: which quotas hold a call, and whose counters they are counted on."""

import logging
import re
from collections.abc import Mapping
from fnmatch import translate
from functools import lru_cache
from typing import get_args

from veneer.auth.peers import Peers
from veneer.call import Call
from veneer.facts import Principal
from veneer.operations import Allowed
from veneer.quotas import notation
from veneer.quotas.estimate import ESTIMATED
from veneer.quotas.partition import Choice, Partitioner, partitioner, read_by
from veneer.quotas.quota import CONCURRENT, REQUESTS, TOKENS, OnFailure, Quota, Unit

logger = logging.getLogger("veneer.ratelimit")

MAX_NAME = 64
MAX_PATTERN = 512
# Notations of keys, and names of models, whose quotas are remembered.
MAX_REMEMBERED = 1024


class QuotaPolicy:
    """How much of a unit each may use.

    `limit` is a notation: "60/minute; 10000/day" for requests and tokens, "20" for concurrent
    requests, "unlimited" for none. `name` (the unit, if none is given) is what a principal's
    `limits` call it, and what headers say. `partition` says whose counters there are: `key`,
    `team`, `user`, `tag`, `model`, `operation`, `peer`, `all`, several of them together, or a
    function from the scope to a text (None: the policy does not apply). `strict` and `on_failure`
    are as in `Quota`. `models` (patterns, as in fnmatch; the first that matches counts) and
    `operations` (names) have limits in place of the common one, each with its own counters.

    `reads` are the fact types that it cannot do without; `asks_host` is whether its partition is a
    function, which may go by anything. Raises ValueError for an option that
    cannot be.
    """

    def __init__(  # noqa: PLR0913 - each is a setting with a name, and most have a default
        self,
        limit: str | int,
        *,
        unit: Unit = REQUESTS,
        name: str | None = None,
        partition: Choice = "key",
        strict: bool = False,
        on_failure: OnFailure = "local",
        models: Mapping[str, str | int] = {},
        operations: Mapping[str, str | int] = {},
    ) -> None:
        _check_choice("unit", unit, get_args(Unit))
        _check_choice("on_failure", on_failure, get_args(OnFailure))
        if strict and unit == CONCURRENT:
            raise ValueError("strict is for windows, and concurrent requests have none.")
        self.name = unit if name is None else _checked_name(name)
        self.unit = unit
        self.strict = strict
        self.on_failure = on_failure
        self.asks_host = callable(partition)
        self.partition = partition
        self._default = self._quotas(self.name, "limit", limit)
        self._patterns = [
            (re.compile(translate(_checked_pattern(pattern))).match, quotas)
            for pattern, quotas in self._exceptions("models", models).items()
        ]
        for operation in operations:
            _check_operation(operation, unit)
            if operation in models:
                raise ValueError(
                    f"operations and models both have {operation!r}, which would share counters: "
                    f"write the model as '[{operation[:1]}]{operation[1:]}'."
                )
        self._operations = self._exceptions("operations", operations)
        self._own = lru_cache(MAX_REMEMBERED)(self._read_own)
        self._of_model = lru_cache(MAX_REMEMBERED)(self._match)
        kinds = read_by(partition)
        self.reads = (*kinds, Call) if models and Call not in kinds else kinds

    def quotas_for(
        self, principal: Principal | None, model: str | None, operation: str
    ) -> tuple[Quota, ...]:
        """Return the quotas that hold a call; none where it is not limited.

        The principal's own limit comes first, on the common counters; then the model's, then the
        operation's, then the common one. Tokens are counted of `ESTIMATED` only.
        """
        if self.unit == TOKENS and operation not in ESTIMATED:
            return ()
        if principal is not None and principal.limits:
            own = principal.limits.get(self.name)
            # Verifiers of others may leave numbers, or worse: what is no text is read as one.
            quotas = None if own is None else self._own(str(own))
            if quotas is not None:
                return quotas
        if self._patterns and model is not None:
            quotas = self._of_model(model)
            if quotas is not None:
                return quotas
        return self._operations.get(operation, self._default)

    def partitioner(self, peers: Peers) -> Partitioner:
        """Return the function from a request's scope to the partitions that it is counted on."""
        return partitioner(self.partition, peers)

    def _exceptions(
        self, option: str, given: Mapping[str, str | int]
    ) -> dict[str, tuple[Quota, ...]]:
        return {
            key: self._quotas(f"{self.name}:{key}", f"{option}[{key!r}]", limit)
            for key, limit in given.items()
        }

    def _quotas(self, policy: str, option: str, limit: str | int) -> tuple[Quota, ...]:
        try:
            found = notation.parse(limit, self.unit)
        except ValueError as error:
            raise ValueError(f"{option}: {error}") from None
        return tuple(
            Quota(
                policy=policy,
                unit=self.unit,
                limit=units,
                window=window,
                strict=self.strict,
                on_failure=self.on_failure,
            )
            for units, window in found
        )

    def _read_own(self, limit: str) -> tuple[Quota, ...] | None:
        """Return the quotas of a key's own limit; None, once it is logged, where it is none."""
        try:
            return self._quotas(self.name, "limits", limit)
        except ValueError as error:
            reason = str(error)
        logger.error(
            "a key has a limit for the policy %s that cannot be read, and is held to what others "
            "are: %s",
            self.name,
            reason,
        )
        return None

    def _match(self, model: str) -> tuple[Quota, ...] | None:
        for matches, quotas in self._patterns:
            if matches(model):
                return quotas
        return None


def _check_choice(option: str, given: object, there_are: tuple[str, ...]) -> None:
    if given not in there_are:
        raise ValueError(f"{option} is {given!r}: give one of {', '.join(there_are)}.")


def _checked_name(name: str) -> str:
    """Return a name that a header can carry, and that no exception of another policy can have."""
    if not (0 < len(name) <= MAX_NAME and name.isascii() and name.isprintable()) or ":" in name:
        raise ValueError(
            f"name is {name[:MAX_NAME]!r}: give 1 to {MAX_NAME} printable ASCII characters "
            "without a colon."
        )
    return name


def _checked_pattern(pattern: str) -> str:
    if not (0 < len(pattern) <= MAX_PATTERN and pattern.isprintable()):
        raise ValueError(
            f"models has {pattern[:MAX_NAME]!r}: give 1 to {MAX_PATTERN} printable characters."
        )
    return pattern


def _check_operation(operation: str, unit: Unit) -> None:
    try:
        Allowed([operation])
    except ValueError as error:
        raise ValueError(f"operations: {error}") from None
    if unit == TOKENS and operation not in ESTIMATED:
        raise ValueError(
            f"operations has {operation!r}, whose tokens are not counted: those of "
            f"{', '.join(sorted(ESTIMATED))} are."
        )
