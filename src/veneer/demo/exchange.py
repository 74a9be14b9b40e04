"""One request to the demo server and its reply, free of IO.

An endpoint is a function of a `Request` which returns a `Reply`: a JSON document, or the framed
events of a stream. It raises DemoError before it returns, never while the events are drawn.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

import msgspec

from .error import DemoError, from_validation
from .models import Catalogue
from .prompt_cache import PromptCache

T = TypeVar("T")
Reply = dict[str, object] | Iterator[bytes]

DONE: Final = b"data: [DONE]\n\n"
"""The last event of a chat or completion stream."""

SYSTEM_FINGERPRINT: Final = "fp_veneer_demo"


class Request:
    """What an endpoint is given: the body, the models on offer, and the time in Unix seconds.

    `cache` is the prompt cache, if there is one. `unread` is how many tokens of the prompt were not
    in it, once the endpoint has said what the prompt is.
    """

    def __init__(
        self, body: bytes, catalogue: Catalogue, created: int, cache: PromptCache | None = None
    ) -> None:
        self.body = body
        self.catalogue = catalogue
        self.created = created
        self.unread = 0
        self._cache = cache
        self._digest = hashlib.blake2b(body).digest()

    def decode(self, kind: type[T]) -> T:
        """Return the body as `kind`; raise DemoError (400) that names the field at fault."""
        try:
            return msgspec.json.decode(self.body, type=kind)
        except msgspec.ValidationError as error:
            raise from_validation(error) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise DemoError(
                "We could not parse the JSON body of your request: it is not valid JSON in UTF-8, "
                "or it nests too deeply.",
            ) from None

    def cached(self, tokens: int, *prompt: object) -> int:
        """Return how many tokens of a prompt of so many are cached; its parts are in order."""
        cached = 0
        if self._cache is not None:
            text = b"".join(map(msgspec.json.encode, prompt))
            cached = tokens * self._cache.read(text) // len(text)
        self.unread = tokens - cached
        return cached

    def identify(self, prefix: str, *place: int) -> str:
        """Return an id which depends on the body and the place alone."""
        name = f"{prefix}{'/'.join(map(str, place))}".encode()
        return prefix + hashlib.blake2b(name, digest_size=16, key=self._digest).hexdigest()


Endpoint = Callable[[Request], Reply]


def frame(data: object, event: str | None = None) -> bytes:
    """Return one server-sent event (WHATWG HTML §9.2.6) as OpenAI's API frames it."""
    name = f"event: {event}\n".encode() if event else b""
    return b"%sdata: %s\n\n" % (name, msgspec.json.encode(data))
