"""wrk, the load: some connections, each sending the call again as soon as it was answered."""

import json
import subprocess
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from rig.completion import CLIENT_KEY, PATH, REQUEST
from rig.processes import on

SCRIPT = """\
wrk.method = "POST"
wrk.body = [==[{body}]==]
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer {key}"
done = function(summary, latency)
    local errors = summary.errors
    print(string.format(
        '{{"requests": %d, "seconds": %f, "failed": %d, "p50_ms": %f, "p99_ms": %f}}',
        summary.requests, summary.duration / 1e6,
        errors.connect + errors.read + errors.write + errors.status + errors.timeout,
        latency:percentile(50) / 1e3, latency:percentile(99) / 1e3
    ))
end
"""


def missing() -> str | None:
    """Return what to say where there is no wrk."""
    return None if which("wrk") else "wrk is not on PATH (Debian: apt install wrk)"


def load(
    origin: str, cpus: set[int] | None, *, connections: int, seconds: float
) -> dict[str, float]:
    """Load a server; return requests per second and latencies.

    Raises RuntimeError where any request failed: a fast error is no answer.
    """
    with TemporaryDirectory() as home:
        script = Path(home, "call.lua")
        script.write_text(SCRIPT.format(body=REQUEST.decode(), key=CLIENT_KEY))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", "-s", str(script)]
        with on(cpus):
            done = subprocess.run(
                [*command, origin + PATH],
                capture_output=True,
                check=True,
                timeout=seconds + 30,
            )
    found: dict[str, Any] = json.loads(done.stdout.decode().strip().splitlines()[-1])
    if found["failed"] or not found["requests"]:
        raise RuntimeError(f"{found['failed']} of {found['requests']} requests to {origin} failed")
    return {
        "requests": found["requests"],
        "requests_per_second": found["requests"] / found["seconds"],
        "p50_ms": found["p50_ms"],
        "p99_ms": found["p99_ms"],
    }
