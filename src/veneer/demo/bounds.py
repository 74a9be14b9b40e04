"""The bounds of the free JSON in a request: what is echoed and counted must encode again."""

from typing import Final

from .error import DemoError

_MAX_DEPTH: Final = 64
_LEAST: Final = -(2**63)
_LARGEST: Final = 2**64 - 1


def check_bounds(value: object, param: str) -> None:
    """Raise DemoError for JSON nested over 64 levels, or with an integer that 64 bits do not hold.

    The JSON encoder refuses such integers, and would overflow the stack on endless nesting. Works
    level by level, without recursion, for the same reason.
    """
    level = [value]
    for _ in range(_MAX_DEPTH):
        if not all(_LEAST <= node <= _LARGEST for node in level if isinstance(node, int)):
            raise DemoError(
                f"Invalid value for '{param}': an integer in it is too large.",
                param=param,
                code="invalid_value",
            )
        level = [
            child
            for node in level
            if isinstance(node, dict | list)
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise DemoError(
        f"Invalid value for '{param}': it nests deeper than {_MAX_DEPTH} levels.",
        param=param,
        code="invalid_value",
    )
