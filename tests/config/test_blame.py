"""What is wrong with a setting begins with where it stands."""

import pytest

from veneer.config.blame import blame
from veneer.wiring import ConfigurationError


def test_a_fault_is_said_of_its_place() -> None:
    with pytest.raises(ConfigurationError, match=r"^\[log\] it is bad$") as caught, blame("[log]"):
        raise ValueError("it is bad")
    assert isinstance(caught.value.__cause__, ValueError)


def test_what_names_its_place_stays_as_it_is() -> None:
    fault = ConfigurationError("[cost] it is bad")
    with pytest.raises(ConfigurationError) as caught, blame("[log]"):
        raise fault
    assert caught.value is fault


def test_a_bug_is_none_of_the_operators() -> None:
    with pytest.raises(KeyError), blame("[log]"):
        raise KeyError("name")
