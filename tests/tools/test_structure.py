"""The measures of the code's structure: they count what they say, and the code keeps what was won."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def structure() -> ModuleType:
    spec = importlib.util.spec_from_file_location("structure", ROOT / "tools" / "structure.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by its name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def write(root: Path, modules: dict[str, str]) -> None:
    for name, text in modules.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_rooms_arrows_circles_and_floors_are_counted(structure: ModuleType, tmp_path: Path) -> None:
    node = "node/mandorla_node"
    write(
        tmp_path,
        {
            f"{node}/__init__.py": "",
            f"{node}/rounds/__init__.py": "",
            f"{node}/rounds/initiator.py": "from ..store import log\nfrom mandorla_protocol import card\n",
            f"{node}/store/__init__.py": "",
            f"{node}/store/log.py": "from .. import clock\n",
            f"{node}/clock.py": "def now():\n    from .rounds import initiator\n",
            f"{node}/alone.py": "x = 1\n" * 401,
            "protocol/mandorla_protocol/__init__.py": "",
            "protocol/mandorla_protocol/card.py": "",
        },
    )
    found = structure.measure(tmp_path)
    assert (found.rooms, found.arrows) == (4, 3)
    assert (found.circles, found.rooms_in_circles, found.floors) == (1, 3, 1)
    assert (found.initiator_imports, found.initiator_imports_protocol) == (3, 1)
    assert (found.long_modules, found.imports_in_functions) == (1, 1)


def test_this_tree_has_no_circle_between_rooms_and_no_long_module(structure: ModuleType) -> None:
    found = structure.measure(ROOT)
    assert (found.circles, found.long_modules) == (0, 0)
