"""Where the commands log to: calls on standard output, everything else on standard error."""

import asyncio
import logging
import sys

from veneer.client import ClientDisconnectedError
from veneer.errors import BrokenResponseError

# What uvicorn calls an error in the app is how we cut a stream, or are cut off ourselves; the line
# of the call tells of it.
DELIBERATE = (BrokenResponseError, ClientDisconnectedError, asyncio.CancelledError)


def is_no_cut(record: logging.LogRecord) -> bool:
    """Whether a record is of anything but a connection cut on purpose."""
    kind = record.exc_info[0] if record.exc_info else None
    return kind is None or not issubclass(kind, DELIBERATE)


def configure() -> None:
    """Set up the loggers of this process."""
    logging.basicConfig(
        stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s"
    )
    logging.getLogger("veneer").setLevel(logging.INFO)
    # Its warnings are of clients that speak bad HTTP, of which our protocol tells.
    server = logging.getLogger("uvicorn.error")
    server.setLevel(logging.ERROR)
    server.addFilter(is_no_cut)
    access = logging.getLogger("veneer.access")
    access.propagate = False
    lines = logging.StreamHandler(sys.stdout)
    access.addHandler(lines)
