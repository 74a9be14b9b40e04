"""The path of a request, where an app may be mounted below another."""

from starlette.types import Scope


def path_of(scope: Scope) -> str:
    """Return the decoded path below `root_path`, as the app below sees it.

    A root that does not end where a segment ends is none of this path's.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path
