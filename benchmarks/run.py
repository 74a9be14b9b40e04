"""Run the benchmarks in one go, keep their raw figures in `results/` and make `README.md` of them.

Each runs in a process of its own, from this checkout, for a bounded time; where one fails, the
others still run, and the exit code is 1.
"""

import argparse
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from rig import machine, report
from rig.processes import HOME, end, environment, exit_on_sigterm

BENCHMARKS = (
    "layers",
    "limits",
    "idempotency",
    "ledger",
    "models",
    "compat",
    "affinity",
    "routing",
    "drift",
    "relay",
    "stream",
    "failover",
    "memory",
    "bodies",
    "startup",
    "whole",
    "growth",
    "crowd",
    "peers",
    "peer_streams",
    "peer_startup",
)

# Seconds for one benchmark.
LONGEST = 1200.0

RESULTS = HOME / "results"


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(description="Run the benchmarks and write README.md.")
    parser.add_argument("names", nargs="*", metavar="name", help=", ".join(BENCHMARKS))
    parser.add_argument("--quick", action="store_true", help="one round each: does it all run?")
    parser.add_argument("--report", action="store_true", help="make README.md of what is there")
    given = parser.parse_args()
    unknown = [name for name in given.names if name not in BENCHMARKS]
    if unknown:
        parser.error(f"{unknown[0]!r} is none of {', '.join(BENCHMARKS)}")
    exit_on_sigterm()
    failed = []
    if not given.report:
        RESULTS.mkdir(exist_ok=True)
        for name in given.names or BENCHMARKS:
            print(f"== {name}", file=sys.stderr)
            if not run(name, quick=given.quick):
                failed.append(name)
        # Other results that stay were not measured on what is there now.
        if not given.names:
            facts = msgspec.json.encode(machine.describe())
            (RESULTS / "machine.json").write_bytes(msgspec.json.format(facts, indent=1) + b"\n")
    report.write(RESULTS, BENCHMARKS, HOME / "README.md")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


def run(name: str, *, quick: bool) -> bool:
    """Run one benchmark; return whether it came to a result, which replaces the last one."""
    with TemporaryDirectory() as home:
        output = Path(home, "result.json")
        command = [sys.executable, HOME / f"bench_{name}.py", "--output", output]
        if quick:
            command += ["--rounds", "1"]
        process = subprocess.Popen(list(map(str, command)), env=environment())
        try:
            process.wait(LONGEST)
        except subprocess.TimeoutExpired:
            print(f"{name} took longer than {LONGEST:.0f} s", file=sys.stderr)
        finally:
            end(process)
        if process.returncode != 0 or not output.exists():
            return False
        (RESULTS / f"{name}.json").write_bytes(output.read_bytes())
        return True


if __name__ == "__main__":
    sys.exit(main())
