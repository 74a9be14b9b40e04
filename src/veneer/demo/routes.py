"""Which endpoint answers a request."""

from types import MappingProxyType
from typing import Final

from .chat import chat_completion
from .completions import completion
from .embeddings import embeddings
from .error import DemoError
from .exchange import Endpoint, Reply, Request
from .moderations import moderation
from .responses import response

_POST: Final = MappingProxyType[str, Endpoint](
    {
        "/chat/completions": chat_completion,
        "/completions": completion,
        "/embeddings": embeddings,
        "/moderations": moderation,
        "/responses": response,
    }
)
_MODELS: Final = "/models"
_GET: Final = ("GET", "HEAD")
_ABSENT: Final = ("/images", "/audio", "/videos", "/files", "/batches", "/realtime")


def route(method: str, path: str) -> Endpoint:
    """Return the endpoint for a path below the root path, with or without its leading `/v1`.

    Raises DemoError: 404 for an unknown path, 405 for a method that the path does not have.
    """
    place = path.removeprefix("/v1") if path.startswith("/v1/") else path
    if place == _MODELS or place.startswith(f"{_MODELS}/"):
        _check_method(method, path, _GET)
        return _model_endpoint(place.removeprefix(_MODELS)[1:])
    endpoint = _POST.get(place)
    if endpoint is None:
        raise _unknown(method, path, place)
    _check_method(method, path, ("POST",))
    return endpoint


def _model_endpoint(model_id: str) -> Endpoint:
    def models(request: Request) -> Reply:
        catalogue = request.catalogue
        return catalogue.find(model_id).document() if model_id else catalogue.document()

    return models


def _check_method(method: str, path: str, allowed: tuple[str, ...]) -> None:
    if method not in allowed:
        raise DemoError(
            f"Not allowed to {method} on {path[:256]}. (HINT: Perhaps you meant to use a different "
            "HTTP method?)",
            status=405,
            code="method_not_supported",
            allow=allowed,
        )


def _unknown(method: str, path: str, place: str) -> DemoError:
    if place.startswith(_ABSENT):
        return DemoError(
            f"The demo server has no {place.split('/')[1]}: it answers chat completions, "
            "completions, responses, embeddings, moderations and models.",
            status=404,
            code="unsupported_endpoint",
        )
    return DemoError(f"Invalid URL ({method} {path[:256]})", status=404)
