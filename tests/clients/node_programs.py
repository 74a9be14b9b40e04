"""Programs of Node that call the stack, and tell what they were answered."""

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.clients.installed import ALL
from tests.clients.served import CHAT, EMBEDDING, UNKNOWN, Served

FOLDER = Path(__file__).parent / "node"
# Seconds that a program may take.
PATIENCE = 25


class Told:
    """What the cases of a program returned, by name."""

    def __init__(self, told: dict[str, Any]) -> None:
        self._told = told

    def __getitem__(self, case: str) -> Any:
        """Return what a case returned; what it raised fails the test that asks for it."""
        told = self._told[case]
        assert "error" not in told, told["error"]
        return told["value"]


def run(program: str, *arguments: str, stack: Served) -> Told:
    """Run a program to its end.

    Without Node or the packages that it needs, the test is skipped; not with
    `VENEER_TEST_CLIENTS=1`, where both must be there.
    """
    node = shutil.which("node")
    if node is None or not (FOLDER / "node_modules").is_dir():
        reason = f"Node or its packages are missing: npm install --no-package-lock in {FOLDER.name}"
        assert os.environ.get(ALL) != "1", reason
        pytest.skip(reason)
    ran = subprocess.run(
        [node, program, *arguments],
        cwd=FOLDER,
        env={"PATH": os.environ["PATH"], "VENEER_CLIENTS": json.dumps(_given(stack))},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    answer = json.loads(ran.stdout)
    assert answer["elsewhere"] == []
    return Told(answer["told"])


def _given(stack: Served) -> dict[str, Any]:
    return {
        "url": stack.url,
        "key": stack.key,
        "wrongKey": stack.wrong_key,
        "poorKey": stack.poor_key,
        "slowKey": stack.slow_key,
        "limitedKeys": [stack.limited_key()],
        "chat": CHAT,
        "embedding": EMBEDDING,
        "unknown": UNKNOWN,
    }
