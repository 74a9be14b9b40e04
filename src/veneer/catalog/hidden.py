"""Hidden models: names of further models that a call has somewhere below its own."""

from collections.abc import Iterator
from typing import Any

import msgspec


class _Body(msgspec.Struct):
    tools: Any = None
    moderation: Any = None


_decode = msgspec.json.Decoder(_Body).decode


def hidden_models(body: bytes) -> Iterator[str]:
    """Yield the names of the models that hosted tools and moderation are to use.

    Of tools that a client runs itself nothing is asked, whatever their parameters are called.
    """
    # Nearly all bodies have one such name, and no escape that could hide another.
    if body.count(b'"model"') < 2 and b"\\u" not in body:  # noqa: PLR2004 - its own, and one more
        return
    read = _decode(body)
    holders = read.tools if isinstance(read.tools, list) else []
    for holder in (*holders, read.moderation):
        name = holder.get("model") if isinstance(holder, dict) else None
        if isinstance(name, str):
            yield name
