"""Affinity: which server likely has the long prefix of a request in its prompt cache."""

import time
from collections import OrderedDict
from collections.abc import Callable

from veneer.routing.prefix import BLOCK_TOKENS, Prefix, read_prefix

DEFAULT_TTL = 300.0
DEFAULT_MOST = 65_536

# How much the latest answer counts in what is believed of a member, and the least of it: one that
# seems to cache nothing is still the better choice among its like, for many do not tell at all.
LATEST = 0.25
LEAST = 1 / 16


class Affinity:
    """Remembers which member was sent which prefix, block by block, and what it had cached.

    A member is whoever has a cache of its own: a replica, or a target with the name of a model.
    What it was sent is believed to be there for `ttl` seconds from the last call with it (services
    keep a prefix for five to ten minutes). `most` bounds the blocks that are remembered, over all
    members, at some 150 bytes each; those not seen for longest go first. `clock` gives seconds.
    Raises ValueError for numbers that cannot be.

    Nothing of a request is kept but numbers, made with this process's own secret. Callers who send
    the same beginning share what is known of it: that decides who is asked, and nothing else. Where
    two blocks have one number by chance, a call goes to a server that has to read its prompt, as
    it would without this.
    """

    def __init__(
        self,
        *,
        ttl: float = DEFAULT_TTL,
        most: int = DEFAULT_MOST,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if not ttl > 0 or most < 1:
            raise ValueError(f"ttl is {ttl}, most {most}: give seconds above 0, and 1 or more.")
        self._ttl = ttl
        self._most = most
        self._clock = clock
        self._sent: OrderedDict[int, float] = OrderedDict()
        self._believed: dict[str, float] = {}

    def __len__(self) -> int:
        """Return how many blocks are remembered."""
        return len(self._sent)

    def prefix(self, body: bytes, model: str | None = None) -> Prefix:
        """Return the prefix of a request's JSON body, for `warm` and `note`; see `read_prefix`."""
        return read_prefix(body, model)

    def warm(self, prefix: Prefix, member: str) -> int:
        """Return how many tokens of the prefix this member likely has cached.

        They are as many as it was sent of late, times the share of such that its answers bear out.
        """
        if not prefix.blocks:
            return 0
        believed = self._believed.get(member, 1.0)
        return int(self._depth(prefix, member) * BLOCK_TOKENS * believed)

    def note(self, prefix: Prefix, member: str, cached: int | None = None) -> None:
        """Note that this member has answered a call with the prefix, or has begun to.

        `cached` are the tokens that its usage says were cached, None where that is not known. They
        are compared with what was there when `warm` was first asked about this call.
        """
        if not prefix.blocks:
            return
        expected = self._depth(prefix, member) * BLOCK_TOKENS
        if cached is not None and expected:
            believed = self._believed.get(member, 1.0)
            latest = min(1.0, cached / expected)
            self._believed[member] = max(LEAST, believed + LATEST * (latest - believed))
        own = hash(member)
        sent = self._sent
        until = self._clock() + self._ttl
        # From the end, so that no block is forgotten before those that follow it.
        for block in reversed(prefix.blocks):
            key = block ^ own
            sent[key] = until
            sent.move_to_end(key)
        while len(sent) > self._most:
            sent.popitem(last=False)

    def forget(self, member: str) -> None:
        """Forget what was believed of a member that is gone; its blocks go in time."""
        self._believed.pop(member, None)

    def _depth(self, prefix: Prefix, member: str) -> int:
        """Return how many blocks of the prefix this member was sent of late.

        It has all before one that it has: each was noted with them, and expires no sooner.
        """
        depth = prefix.found.get(member)
        if depth is None:
            own = hash(member)
            now = self._clock()
            sent = self._sent
            depth, beyond = 0, len(prefix.blocks) + 1
            while beyond - depth > 1:
                middle = (depth + beyond) // 2
                if sent.get(prefix.blocks[middle - 1] ^ own, now) > now:
                    depth = middle
                else:
                    beyond = middle
            prefix.found[member] = depth
        return depth
