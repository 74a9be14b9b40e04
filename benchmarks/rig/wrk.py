"""wrk, the load: some connections, each sending the call again as soon as it was answered."""

import json
import subprocess
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any

from rig.completion import Call
from rig.processes import on

SCRIPT = """\
wrk.method = "POST"
wrk.body = [==[{body}]==]
{headers}
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


# Seconds after which wrk counts an answer as missing; 256 callers of a slow proxy wait for long.
PATIENCE = 60

USUAL = Call()


def load(
    origin: str, cpus: set[int] | None, *, connections: int, seconds: float, call: Call = USUAL
) -> dict[str, float]:
    """Load a server with a call; return requests per second and latencies.

    Raises RuntimeError where any request failed: a fast error is no answer.
    """
    with TemporaryDirectory() as home:
        script = Path(home, "call.lua")
        fields = {"content-type": "application/json", **call.headers}
        headers = "\n".join(f'wrk.headers["{name}"] = "{fields[name]}"' for name in fields)
        script.write_text(SCRIPT.format(body=call.body().decode(), headers=headers))
        command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds:.0f}s", f"--timeout={PATIENCE}s"]
        with on(cpus):
            done = subprocess.run(
                [*command, "-s", str(script), origin + call.path],
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
