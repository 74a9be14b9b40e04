"""Several verifiers in turn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from veneer.auth.any_of import AnyOf
from veneer.auth.static import StaticKeys, digest_of
from veneer.auth.verifier import Denial, lifespan_of, recall_of
from veneer.facts import Principal

ALICE = Principal(id="alice")


class Says:
    """A verifier that always says the same, and notes when it is opened and closed."""

    def __init__(self, answer: Principal | Denial, log: list[str] | None = None) -> None:
        self.answer = answer
        self.log = [] if log is None else log
        self.asked = 0
        self.principals = (answer,) if isinstance(answer, Principal) else ()

    async def verify(self, _credential: str) -> Principal | Denial:
        """Answer."""
        self.asked += 1
        return self.answer

    @asynccontextmanager
    async def lifespan(self) -> AsyncIterator[None]:
        """Note the way in and the way out."""
        self.log.append("open")
        yield
        self.log.append("close")


UNKNOWN, MALFORMED, REVOKED, EXPIRED, EARLY, UNAVAILABLE = (
    Denial.UNKNOWN,
    Denial.MALFORMED,
    Denial.REVOKED,
    Denial.EXPIRED,
    Denial.NOT_YET_VALID,
    Denial.UNAVAILABLE,
)


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ([ALICE], ALICE),
        ([UNKNOWN, ALICE], ALICE),
        ([MALFORMED, ALICE], ALICE),
        ([UNAVAILABLE, ALICE], ALICE),
        ([UNAVAILABLE, UNKNOWN], UNAVAILABLE),
        ([UNKNOWN, UNAVAILABLE], UNAVAILABLE),
        ([UNAVAILABLE, REVOKED], REVOKED),
        ([REVOKED, ALICE], REVOKED),
        ([EXPIRED, ALICE], EXPIRED),
        ([UNKNOWN, EARLY], EARLY),
        ([MALFORMED, UNKNOWN], UNKNOWN),
        ([UNKNOWN, MALFORMED], UNKNOWN),
        ([MALFORMED, MALFORMED], MALFORMED),
    ],
)
async def test_the_first_who_knows_answers(
    answers: list[Principal | Denial], expected: Principal | Denial
) -> None:
    assert await AnyOf([Says(answer) for answer in answers]).verify("x") is expected


async def test_nobody_is_asked_after_that() -> None:
    last = Says(UNKNOWN)
    await AnyOf([Says(ALICE), last]).verify("x")
    assert last.asked == 0


async def test_it_holds_all_open_and_knows_whom_they_know() -> None:
    log: list[str] = []
    several = AnyOf([Says(ALICE, log), Says(UNKNOWN, log)])
    assert several.principals == (ALICE,)
    async with lifespan_of(several):
        assert log == ["open", "open"]
    assert log == ["open", "open", "close", "close"]


def test_one_is_needed() -> None:
    with pytest.raises(ValueError, match="no verifier"):
        AnyOf([])


async def test_what_the_first_remembers_is_told_at_once_and_nothing_of_the_others() -> None:
    static = StaticKeys([(digest_of("sk-alice"), ALICE)])
    assert recall_of(AnyOf([static, Says(REVOKED)]))("sk-alice") is ALICE
    assert recall_of(AnyOf([static, Says(ALICE)]))("sk-other") is None
    assert recall_of(AnyOf([Says(REVOKED), static]))("sk-alice") is None


async def test_who_verifies_in_its_own_way_is_not_passed_by_what_a_parent_remembers() -> None:
    class AtNight(StaticKeys):
        async def verify(self, _credential: str) -> Principal | Denial:
            return REVOKED

    class Named(StaticKeys):
        pass

    keys = [(digest_of("sk-alice"), ALICE)]
    assert recall_of(AtNight(keys))("sk-alice") is None
    assert recall_of(Named(keys))("sk-alice") is ALICE
