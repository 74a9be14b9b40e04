"""Blame: what is wrong with a setting is said of the place in the file that it stands in."""

from collections.abc import Iterator
from contextlib import contextmanager

from veneer.wiring import ConfigurationError


@contextmanager
def blame(where: str) -> Iterator[None]:
    """Have a ValueError that is raised inside be a `ConfigurationError` that begins with `where`.

    One that is a `ConfigurationError` names its place already, and stays as it is.
    """
    try:
        yield
    except ConfigurationError:
        raise
    except ValueError as error:
        raise ConfigurationError(f"{where} {error}") from error
