"""Who may import whom, and what an import may do."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import veneer

ROOT = Path(veneer.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

# Those that see everything.
OPEN = ("__init__", "__main__", "stack", "config", "cli", "demo")


def name_of(path: Path) -> str:
    """Return a module's name below the package: `layers.relay`, `__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts)


def imported_by(path: Path) -> Iterator[str]:
    """Yield the modules of ours that a module imports, wherever it does, below the package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        else:
            continue
        for name in names:
            if name == "veneer" or name.startswith("veneer."):
                yield name.removeprefix("veneer").removeprefix(".")


def room(name: str) -> str:
    return name.partition(".")[0]


def by_room(*rooms: str) -> list[Path]:
    return [path for path in MODULES if room(name_of(path)) in rooms]


def is_of(name: str, module: str) -> bool:
    """Whether an imported name is a module or something in it."""
    return name == module or name.startswith(f"{module}.")


@pytest.mark.parametrize("path", by_room("facts"), ids=name_of)
def test_facts_import_nothing_of_ours(path: Path) -> None:
    assert not list(imported_by(path))


@pytest.mark.parametrize("path", by_room("wire"), ids=name_of)
def test_wire_imports_only_itself(path: Path) -> None:
    assert {room(name) for name in imported_by(path)} <= {"wire"}


@pytest.mark.parametrize("path", by_room("layers"), ids=name_of)
def test_no_layer_imports_another_nor_what_talks_to_upstreams(path: Path) -> None:
    """A layer may have private helpers, in modules whose name begins with an underscore."""
    for name in imported_by(path):
        assert room(name) not in ("upstream", "demo"), f"{name_of(path)} imports {name}"
        if room(name) == "layers":
            assert name.split(".")[1].startswith("_"), f"{name_of(path)} imports {name}"


def test_a_private_helper_belongs_to_one_layer() -> None:
    users: dict[str, set[str]] = {}
    for path in by_room("layers"):
        for name in imported_by(path):
            if room(name) == "layers":
                users.setdefault(name.split(".")[1], set()).add(path.stem)

    def layers_above(helper: str) -> set[str]:
        above = users.get(helper, set())
        public = {user for user in above if not user.startswith("_")}
        return public.union(*(layers_above(user) for user in above - public))

    for helper in users:
        assert len(layers_above(helper)) == 1, f"{helper} serves {layers_above(helper)}"


@pytest.mark.parametrize("path", by_room("upstream"), ids=name_of)
def test_what_talks_to_upstreams_knows_no_layer(path: Path) -> None:
    assert "layers" not in {room(name) for name in imported_by(path)}


@pytest.mark.parametrize(
    "path", [path for path in MODULES if room(name_of(path)) not in OPEN], ids=name_of
)
def test_only_the_outermost_rooms_see_everything(path: Path) -> None:
    for name in imported_by(path):
        assert name != "", f"{name_of(path)} imports the package itself"
        for outer in ("stack", "config", "cli", "__init__", "__main__", "demo"):
            assert not is_of(name, outer), f"{name_of(path)} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    source = path.read_text()
    if source.strip():
        assert ast.get_docstring(ast.parse(source)), name_of(path)


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_no_module_has_variables_that_change(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Global), f"{name_of(path)} has a global"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_is_validated_by_assertion(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        assert not isinstance(node, ast.Assert), f"{name_of(path)}:{node.lineno}"


SIDE_EFFECTS = """
import asyncio, json, logging, signal, sys, threading, warnings
before = {
    "handlers": list(logging.root.handlers),
    "level": logging.root.level,
    "policy": type(asyncio.get_event_loop_policy()).__name__,
    "signal": str(signal.getsignal(signal.SIGTERM)),
    "filters": len(warnings.filters),
    "excepthook": sys.excepthook is sys.__excepthook__,
}
import veneer
ours = [name for name in logging.root.manager.loggerDict if name.startswith("veneer")]
after = {
    "handlers": list(logging.root.handlers),
    "level": logging.root.level,
    "policy": type(asyncio.get_event_loop_policy()).__name__,
    "signal": str(signal.getsignal(signal.SIGTERM)),
    "filters": len(warnings.filters),
    "excepthook": sys.excepthook is sys.__excepthook__,
}
print(json.dumps({
    "same": before == after,
    "threads": threading.active_count(),
    "modules": sorted(name for name in sys.modules if "." not in name),
    "handlers": [name for name in ours if logging.getLogger(name).handlers],
    "levels": [name for name in ours if logging.getLogger(name).level != logging.NOTSET],
}))
"""


def test_importing_us_brings_no_extra_and_changes_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SIDE_EFFECTS], capture_output=True, check=True, text=True
    )
    found = json.loads(done.stdout)
    extras = {"httpx", "httpx2", "uvicorn", "uvloop", "limits", "openai", "redis", "sqlite3"}

    assert not extras & set(found["modules"])
    assert found["same"]
    assert found["threads"] == 1
    assert found["handlers"] == []
    assert found["levels"] == []
    assert done.stderr == ""
