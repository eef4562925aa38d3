"""The wheel is the whole program: nothing that it needs stays behind in the repository."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest
from poetry.core.masonry.api import build_wheel

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return folder / build_wheel(str(folder))


def test_wheel_holds_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    sources = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "recsys_cli").rglob("*")
        if path.is_file() and path.parent.name != "__pycache__"
    }
    with ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == sources
    assert "recsys_cli/py.typed" in names


def test_wheel_installs_the_command(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        entry_points = next(name for name in archive.namelist() if name.endswith("entry_points.txt"))
        assert "recsys=recsys_cli.__main__:program" in archive.read(entry_points).decode()


@pytest.mark.parametrize(("option", "answer"), [("--version", "recsys"), ("--help", "Commands")])
def test_unpacked_wheel_answers_outside_the_repository(
    wheel: Path, tmp_path: Path, option: str, answer: str
) -> None:
    with ZipFile(wheel) as archive:
        archive.extractall(tmp_path)
    code = "import sys; from recsys_cli.cli import app; print(app.__file__); sys.exit(app.main())"
    done = subprocess.run(
        [sys.executable, "-c", code, option],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(str(tmp_path)), "the wheel's own code ran"
    assert answer in done.stdout


def test_nothing_in_the_package_allows_a_pickle() -> None:
    loaders = re.compile(
        r"allow_pickle(?!=False)|\bnp\.load\(|import (pickle|dill|joblib|cloudpickle|marshal|shelve)"
    )
    sources = {path.name: path.read_text(encoding="utf-8") for path in (ROOT / "recsys_cli").rglob("*.py")}
    assert [name for name, text in sources.items() if loaders.search(text)] == []


def test_no_function_below_the_terminal_has_more_than_six_parameters() -> None:
    """Kernels may: numba compiles them, and they take plain arrays."""
    long: list[str] = []
    for file in (ROOT / "recsys_cli").rglob("*.py"):
        if not {"cli", "kernels"} & set(file.relative_to(ROOT / "recsys_cli").parts):
            functions = (
                node
                for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
                if isinstance(node, ast.FunctionDef)
            )
            long += [f"{file.name}: {one.name}" for one in functions if len(parameters(one)) > 6]
    assert not long


def parameters(function: ast.FunctionDef) -> list[str]:
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    return [name for name in names if name not in ("self", "cls")]
