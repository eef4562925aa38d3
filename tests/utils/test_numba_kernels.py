"""Numba invalidates its cache per file: a kernel may hold no code of another file."""

import ast
import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import numba
import pytest

from recsys_cli.utils.storage.folder_checks import private_folder

PACKAGE = Path(__file__).parents[2] / "recsys_cli"
FILES = sorted(file for file in (PACKAGE / "models/kernels").glob("*.py") if file.name != "__init__.py")


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_kernel_calls_kernels_of_its_own_file_alone(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {one for one in modules if one and one.startswith("recsys_cli")} == {
        "recsys_cli.utils.numba_kernels"
    }


def test_kernels_are_nowhere_else() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert {path for path, text in texts.items() if "\n@kernel" in text} == set(FILES)


CODE = """
from recsys_cli.utils.numba_kernels import kernel

@kernel
def doubled(number):
    return 2 * number
"""


@pytest.fixture
def place(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder open to all with code that nobody may write, the temporary files in it, and no home."""
    assert numba.njit(lambda number: 2 * number)(4) == 8  # loads the compiler, which nobody may not read
    with tempfile.TemporaryDirectory() as name:  # that of pytest is closed to others
        root = Path(name)
        for folder in ("code", "temporary"):
            (root / folder).mkdir()
        (root / "code/kernels.py").write_text(CODE)
        for folder, mode in (("code", 0o555), ("temporary", 0o777), (".", 0o777)):
            (root / folder).chmod(mode)
        monkeypatch.setenv("HOME", f"{root}/home")
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setattr(tempfile, "tempdir", f"{root}/temporary")
        monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
        yield root
        os.environ.pop("NUMBA_CACHE_DIR", None)
        numba.config.reload_config()


def kernels_of(place: Path) -> ModuleType:
    spec = spec_from_file_location("kernels", place / "code/kernels.py")
    assert spec is not None and spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.doubled(4) == 8
    return module


def test_no_home_is_made(place: Path, without_rights: Callable[[], AbstractContextManager[None]]) -> None:
    with without_rights():
        kernels = kernels_of(place)
        again = kernels_of(place)
    assert not (place / "home").exists() and not (place / "code/__pycache__").exists()
    (folder,) = (place / "temporary").iterdir()
    assert folder.stat().st_mode & 0o777 == 0o700 and list(folder.rglob("*.nbc"))
    assert sum(kernels.doubled.stats.cache_hits.values()) == 0
    assert sum(again.doubled.stats.cache_hits.values()) == 1


def test_a_home_that_is_there_is_used(
    place: Path, without_rights: Callable[[], AbstractContextManager[None]]
) -> None:
    with without_rights():
        (place / "home").mkdir()
        kernels_of(place)
    assert list((place / "home").rglob("*.nbc")) and not list((place / "temporary").iterdir())


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o755])
def test_a_folder_that_others_may_look_into_is_not_trusted(place: Path, mode: int) -> None:
    folder = place / f"temporary/mine-{os.getuid()}"
    folder.mkdir()
    folder.chmod(mode)
    assert private_folder("mine") is None
    folder.rmdir()
    assert private_folder("mine") == folder and folder.stat().st_mode & 0o777 == 0o700
    folder.rename(place / "elsewhere")
    folder.symlink_to(place / "elsewhere")
    assert private_folder("mine") is None
