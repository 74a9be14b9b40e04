"""The caller, for handlers of Starlette and FastAPI that stand below the auth layer."""

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection

from veneer import facts
from veneer.auth.paths import Public
from veneer.facts import Principal


def principal_of(connection: HTTPConnection) -> Principal:
    """Return who calls.

    Raises Starlette's HTTPException 401 on a path that is public and so has no principal, and
    RuntimeError where no auth layer stands above.
    """
    found = facts.get(connection.scope, Principal)
    if found is not None:
        return found
    if facts.get(connection.scope, Public) is not None:
        raise HTTPException(401, "This needs an API key.", headers={"WWW-Authenticate": "Bearer"})
    raise RuntimeError(
        "No layer above has written a Principal: put AuthMiddleware around this app."
    )


async def principal(connection: HTTPConnection) -> Principal:
    """Return who calls, as `principal_of` does: `Depends(principal)` in FastAPI.

    It is a coroutine because FastAPI runs plain functions in threads.
    """
    return principal_of(connection)
