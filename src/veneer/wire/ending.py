"""The end of an answer that is too much to be held: its last members, where its usage stands."""

from veneer.wire.usage import usage_in_body

# Bytes of it that are kept at least. Usage stands after all that grows with an answer; what follows
# it is short, but for what a Responses call has said itself (tools, say), which is repeated.
KEPT = 65_536

# The members with which the part of interest begins, of which any may be the first or missing.
FIRST = (b'"service_tier"', b'"usage"')

# How many names like these are looked at; what an answer is made of may have some, too.
LOOKS = 8


class Ending:
    """The last bytes of an answer, which `take` is given in its parts."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        self._kept = bytearray()

    def take(self, part: bytes) -> None:
        """Take what comes next."""
        self._kept += part[-KEPT:]
        # Not each time: parts may be small.
        if len(self._kept) > 2 * KEPT:
            del self._kept[:-KEPT]

    def members(self) -> bytes | None:
        """Return the last members of the answer as an object, with its usage; None without one.

        They are its own, and not those of something in it: what begins with a member and ends with
        the answer is an object, once a brace is put before it, only if it is the outermost.
        """
        for name in FIRST:
            at = self._kept.rfind(name)
            for _ in range(LOOKS):
                if at < 0:
                    break
                rest = b"{" + bytes(self._kept[at:])
                if usage_in_body(rest) is not None:
                    return rest
                at = self._kept.rfind(name, 0, at)
        return None
