"""Wiring: who reads what, and who writes it on the right side."""

from typing import Any
from unittest.mock import AsyncMock

import pytest

from veneer.facts import RequestFact, ResponseFact
from veneer.wiring import ConfigurationError, chain, check_above, check_below, written_by


class Who(RequestFact, frozen=True):
    """Known on the way in."""


class Cost(ResponseFact, frozen=True):
    """Known on the way out."""


class Part:
    """What wiring sees of a layer."""

    def __init__(self, app: Any = None, *, reads: Any = (), writes: Any = ()) -> None:
        self.app = app
        self.reads = reads
        self.writes = writes


def test_a_chain_is_followed_inwards() -> None:
    inner = Part()
    middle = Part(inner)
    outer = Part(middle)

    assert list(chain(outer)) == [outer, middle, inner]


def test_a_chain_that_leads_back_to_itself_ends() -> None:
    part = Part()
    part.app = part
    assert len(list(chain(part))) == 100
    assert len(list(chain(AsyncMock()))) == 100


def test_parts_that_say_nothing_write_nothing() -> None:
    assert written_by([object(), Part(writes=(Who,))]) == {Who}


def test_a_request_fact_is_written_above_its_reader() -> None:
    check_above([Part(writes=(Who,)), Part(reads=(Who,))])
    with pytest.raises(ConfigurationError) as caught:
        check_above([Part(reads=(Who,)), Part(writes=(Who,))])
    assert str(caught.value) == (
        "Part reads Who, which nothing above it writes: put a layer that writes Who above it, "
        "or say provides=[Who] if your own app writes it."
    )


def test_a_layer_may_read_what_it_writes_only_if_another_wrote_it_before() -> None:
    with pytest.raises(ConfigurationError):
        check_above([Part(reads=(Who,), writes=(Who,))])


def test_a_host_may_provide_a_request_fact() -> None:
    check_above([Part(reads=(Who,))], [Who])


def test_a_response_fact_is_written_below_its_reader() -> None:
    check_below(Part(Part(Part(writes=(Cost,))), reads=(Cost,)))
    with pytest.raises(ConfigurationError, match="nothing below it writes"):
        check_below(Part(Part(), reads=(Cost,)))
    check_below(Part(Part(), reads=(Cost,)), [Cost])


def test_each_direction_minds_its_own_facts() -> None:
    check_below(Part(Part(), reads=(Who,)))
    check_above([Part(reads=(Cost,))])


def test_a_configuration_error_is_a_value_error() -> None:
    assert issubclass(ConfigurationError, ValueError)
