"""What the workers of one `veneer serve` share, where nobody has said by what."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import msgspec

from veneer.config import Config


@contextmanager
def shared_by_workers(config: Config) -> Iterator[Config]:
    """Give several workers counters in common, in a folder that is gone afterwards."""
    if config.serve.workers == 1 or config.ratelimit.store is not None:
        yield config
        return
    with TemporaryDirectory(prefix="veneer-") as folder:
        table = msgspec.structs.replace(config.ratelimit, store=f"shared://{folder}/limits")
        yield msgspec.structs.replace(config, ratelimit=table)
