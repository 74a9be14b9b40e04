"""What was measured, on what."""

import os
import platform
import subprocess
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from shutil import which

from rig.processes import HOME

PACKAGES = ("uvicorn", "uvloop", "httptools", "starlette", "msgspec", "anyio", "httpx")


def describe() -> dict[str, str]:
    """Return the facts that figures depend on, in the order to show them."""
    facts = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": _commit(),
        "processor": _field("/proc/cpuinfo", "model name", ":"),
        "cores": str(os.cpu_count()),
        "memory": f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30:.0f} GiB",
        "system": _field("/etc/os-release", "PRETTY_NAME", "=").strip('"'),
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": f"{platform.python_implementation()} {platform.python_version()}",
        **{package: _version(package) for package in PACKAGES},
        "nginx": _first_line(["nginx", "-v"]).rpartition("/")[2],
        "wrk": _first_line(["wrk", "-v"])
        .partition(" [")[0]
        .rpartition("/")[2]
        .removeprefix("wrk "),
    }
    return {name: value for name, value in facts.items() if value}


def _commit() -> str:
    line = _first_line(["git", "-C", str(HOME), "rev-parse", "--short", "HEAD"])
    return "" if line.startswith("fatal:") else line


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def _field(file: str, name: str, separator: str) -> str:
    try:
        lines = Path(file).read_text().splitlines()
    except FileNotFoundError:
        return ""
    for line in lines:
        key, found, value = line.partition(separator)
        if found and key.strip() == name:
            return value.strip()
    return ""


def _first_line(command: list[str]) -> str:
    """Return the first line that a command says on either stream; nothing where it is absent."""
    if which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, timeout=10, check=False)
    lines = (done.stdout + done.stderr).decode(errors="replace").splitlines()
    return lines[0] if lines else ""
