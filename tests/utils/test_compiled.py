"""What is kept of a compiled loop is renewed when its own file changes: it may hold no code of another."""

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "recsys_cli"
FILES = sorted(PACKAGE.rglob("*_loops.py"))


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_loop_calls_loops_of_its_own_file_alone(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {one for one in modules if one and one.startswith("recsys_cli")} == {"recsys_cli.utils.compiled"}


def test_compiled_loops_are_nowhere_else() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
    assert {path for path, text in texts.items() if "\n@compiled" in text} == set(FILES)
