"""An app on a socket of its own, in a thread of its own: for clients that know only sockets."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp


@contextlib.contextmanager
def listening(app: ASGIApp) -> Iterator[int]:
    """Serve an app while inside; give its port. Raises RuntimeError where it does not start."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        # Servers of tests fail on purpose: what is wrong with one is seen by its client.
        server = uvicorn.Server(uvicorn.Config(app, log_level="critical", lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                if not thread.is_alive():
                    raise RuntimeError("The app has not started.")
                time.sleep(0.01)
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()
