"""Members of what a client returns: of plain objects of JSON, and of OpenAI's models, alike."""

from collections.abc import Iterator, Mapping

# Where the object that tells of a call stands in an event: in those of the Responses API, and in
# those of the client's helper for streams of chat completions.
_WITHIN = ("response", "chunk")


def member(of: object, name: str) -> object:
    """Return a member, None where there is none.

    Models of OpenAI's client have those that it does not know as attributes, too.
    """
    return of.get(name) if isinstance(of, Mapping) else getattr(of, name, None)


def text(of: object, name: str) -> str | None:
    """Return a member that is a string and not empty, None where it is not."""
    found = member(of, name)
    return found if isinstance(found, str) and found else None


def tellers(of: object) -> Iterator[object]:
    """Yield an answer or event, then what stands within it that may tell of the call."""
    yield of
    for name in _WITHIN:
        within = member(of, name)
        if within is not None:
            yield within
