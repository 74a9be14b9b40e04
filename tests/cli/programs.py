"""Programs under test: `veneer` in a process of its own, and raw connections to it."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Self

# Seconds that anything here may take; what is waited for is polled.
PATIENCE = 15.0


class Program:
    """A running `veneer`; its output is read from files, so that it never waits for us."""

    def __init__(
        self, *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self._out = folder / "stdout"
        self._err = folder / "stderr"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "veneer", *arguments],
                stdout=out,
                stderr=err,
                env={**os.environ, **(environment or {})},
            )

    @property
    def out(self) -> str:
        """What it has written to standard output so far."""
        return self._out.read_text()

    @property
    def err(self) -> str:
        """What it has written to standard error so far."""
        return self._err.read_text()

    def said(self, pattern: str) -> str:
        """Wait until its output matches, and return the match's first group, or all of it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            found = re.search(pattern, self.out + self.err)
            if found:
                return found[found.re.groups and 1]
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"{pattern!r} was not said.\n{self.out}\n{self.err}")

    @property
    def port(self) -> int:
        """The port it serves on, once it says so."""
        return int(self.said(r"http://127\.0\.0\.1:(\d+)/v1"))

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send it a signal."""
        self.process.send_signal(number)

    def wait(self) -> int:
        """Return its exit code once it has ended."""
        return self.process.wait(PATIENCE)


@contextlib.contextmanager
def program(*arguments: str, **environment: str) -> Iterator[Program]:
    """Run `veneer` with arguments while inside."""
    with tempfile.TemporaryDirectory() as folder:
        running = Program(*arguments, folder=Path(folder), environment=environment)
        try:
            yield running
        finally:
            if running.process.poll() is None:
                running.stop()
                try:
                    running.process.wait(PATIENCE)
                except subprocess.TimeoutExpired:
                    running.process.kill()
                    running.process.wait()


class Connection:
    """A plain TCP connection, for what no HTTP client would send."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.received = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send bytes; whether the other side still wants them is no matter."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self._socket.sendall(data)

    def until(self, text: bytes) -> bytes:
        """Read until this has come, and return all that has."""
        while text not in self.received:
            data = self._socket.recv(65536)
            assert data, self.received
            self.received += data
        return self.received

    def rest(self) -> bytes:
        """Read until the other side closes, and return all that has come."""
        with contextlib.suppress(ConnectionResetError):
            while data := self._socket.recv(65536):
                self.received += data
        return self.received


def get(port: int, path: str, *, key: str | None = None) -> bytes:
    """Return the whole response to a GET on a connection of its own."""
    shown = "" if key is None else f"authorization: Bearer {key}\r\n"
    head = f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{shown}\r\n"
    with Connection(port) as connection:
        connection.send(head.encode())
        return connection.rest()
