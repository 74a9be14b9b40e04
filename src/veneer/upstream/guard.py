"""The guard of an upstream that stands alone: no layer above has looked at the request."""

from starlette.types import Receive, Scope

from veneer import facts
from veneer.call import read_call
from veneer.errors import Error
from veneer.operations import Allowed, Endpoint


async def admit(allowed: Allowed, scope: Scope, receive: Receive) -> Endpoint | Error:
    """Return the endpoint of a request that may pass, or the error that it gets."""
    endpoint = allowed.judge(scope)
    # Not `isinstance`: where it is none, that asks the metaclass of structs.
    if type(endpoint) is Error:
        return endpoint
    facts.put(scope, endpoint)
    if endpoint.operation.name == "responses" and not allowed.stored:
        call = await read_call(scope, receive)
        if type(call) is Error:
            return call
    return endpoint
