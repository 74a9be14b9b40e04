"""What the workers of one `veneer serve` share, where nobody has said by what."""

from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryDirectory

import msgspec

from veneer.config import Config


@contextmanager
def shared_by_workers(config: Config) -> Iterator[Config]:
    """Give several workers counters and answers in common, which are gone afterwards."""
    if config.serve.workers == 1:
        yield config
        return
    with TemporaryDirectory(prefix="veneer-") as folder:
        tables = {
            "ratelimit": f"shared://{folder}/limits",
            "idempotency": f"sqlite:///{folder}/recordings.db",
            "completions": f"sqlite:///{folder}/completions.db",
        }
        shared = {
            name: msgspec.structs.replace(getattr(config, name), store=store)
            for name, store in tables.items()
            if getattr(config, name).store is None
        }
        yield msgspec.structs.replace(config, **shared)
