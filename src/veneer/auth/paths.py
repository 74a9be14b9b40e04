"""Paths that a host names: exact ones, or all below one."""

from collections.abc import Iterable

from starlette.types import Scope

from veneer.facts import RequestFact
from veneer.paths import path_of

# What another reader of the same path might take for a separator, an escape or a parameter.
_AMBIGUOUS = frozenset("%\\;?#")


class Public(RequestFact, frozen=True):
    """The request is for a path that needs no key, so nobody was asked for one."""


class Paths:
    """A set of paths, each exact (`/docs`) or a whole branch (`/static/*`, without `/static`).

    They are as the app below sees them: decoded, without `root_path`. Raises ValueError, whose
    sentence begins with `option`, for a path that is neither.
    """

    def __init__(self, paths: Iterable[str], *, option: str) -> None:
        exact: set[str] = set()
        branches: list[str] = []
        for path in paths:
            bare = path.removesuffix("*")
            if not bare.startswith("/") or "*" in bare or (bare != path and bare[-1] != "/"):
                raise ValueError(
                    f"{option} has {path!r}: give a path such as '/docs', or '/static/*' for all "
                    "below one."
                )
            if bare == path:
                exact.add(path)
            else:
                branches.append(bare)
        self._exact = frozenset(exact)
        self._branches = tuple(branches)

    def __bool__(self) -> bool:
        """Whether there is any path in it."""
        return bool(self._exact or self._branches)

    def certainly_hold(self, scope: Scope) -> bool:
        """Whether the request is for one of these paths, however anybody below reads its path.

        A path that leads out of a branch, or might for another reader, is not held.
        """
        path = path_of(scope)
        return path in self._exact or (
            path.startswith(self._branches)
            and not any(character in _AMBIGUOUS for character in path)
            and not any(segment in (".", "..") for segment in path.split("/"))
            and "//" not in path
            and path.isprintable()
        )

    def hold(self, scope: Scope) -> bool:
        """Whether the request is for one of these paths, taken as it stands."""
        path = path_of(scope)
        return path in self._exact or path.startswith(self._branches)
