r"""Lone surrogates in JSON text: RFC 8259 §8.2 lets them stand, our decoder does not.

A server in JavaScript writes them when it cuts an emoji in two between deltas, a client when it
cuts its own text.
"""

import re

_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(?P<lone>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)


def without_lone_surrogates(text: bytes) -> bytes:
    r"""Return the JSON text with `\ufffd` for each lone surrogate: every byte keeps its place."""
    return _ESCAPE.sub(lambda escape: rb"\ufffd" if escape["lone"] else escape[0], text)
