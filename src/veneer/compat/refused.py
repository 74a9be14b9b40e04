"""What a call is refused for while it is translated."""

from veneer.dialects import Kind
from veneer.errors import Error


class RefusedError(Exception):
    """A call that cannot be translated; `error` is what its client gets."""

    def __init__(self, error: Error) -> None:
        super().__init__(error.message)
        self.error = error


def wrong(kind: Kind, message: str, param: str) -> RefusedError:
    """Return the refusal that says this of a member."""
    return RefusedError(Error(kind, message, param=param))


def wrong_type(param: str, wanted: str) -> RefusedError:
    """Return the refusal of a member that is not what it has to be."""
    return wrong(Kind.INVALID_TYPE, f"'{param}' must be {wanted}.", param)
