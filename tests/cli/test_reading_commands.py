"""Commands that only look: what they leave of the workspace's tree is what they found."""

import hashlib
import os
from pathlib import Path

import pytest

from recsys_cli.cli.app import main
from recsys_cli.utils.errors import ExitCode

DAY, NEXT_DAY = "2026-03-02", "2026-03-03"
COMMANDS = [
    ("check", "--date", DAY),
    ("check", "--date", NEXT_DAY, "--json"),
    ("doctor",),
    ("doctor", "--json"),
    ("explain", "u07", "--date", DAY),
    ("explain", "u07", "--date", DAY, "--json"),
    ("diff", DAY, DAY),
    ("verify", DAY),
    ("verify",),
    ("runs", "list"),
    ("models", "list"),
    ("models", "show"),
    ("config",),
    ("report",),
]
PLANS = [("score", "--date", NEXT_DAY, "--plan"), ("train", "--date", DAY, "--plan")]


def tree(root: Path) -> dict[str, tuple[int, str]]:
    """Return every file, folder and link of a workspace with its mode, and a hash of what it holds."""
    found = {}
    for path in [root, *root.rglob("*")]:
        held = (
            os.readlink(path).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        )
        found[str(path.relative_to(root))] = path.lstat().st_mode, hashlib.sha256(held).hexdigest()
    return found


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_it_leaves_the_whole_tree_as_it_was(workspace: Path, command: tuple[str, ...]) -> None:
    before = tree(workspace)
    assert main(["-q", "-C", str(workspace), *command]) == ExitCode.OK
    assert tree(workspace) == before


@pytest.mark.parametrize("command", PLANS, ids=" ".join)
def test_a_plan_adds_its_record_and_the_days_features_alone(
    workspace: Path, command: tuple[str, ...]
) -> None:
    before = tree(workspace)
    assert main(["-q", "-C", str(workspace), *command]) == ExitCode.OK
    after = tree(workspace)
    new = {name for name in after.keys() - before.keys() if name.partition("/")[0] != "runs"}
    assert all(name.startswith(f"features/date={NEXT_DAY}") for name in new), new
    assert {name: after.get(name) for name in before} == before


def test_a_report_writes_its_file_alone(workspace: Path, tmp_path: Path) -> None:
    before = tree(workspace)
    assert main(["-q", "-C", str(workspace), "report", "--html", str(tmp_path / "page.html")]) == ExitCode.OK
    assert tree(workspace) == before and (tmp_path / "page.html").stat().st_size
    inside = workspace / "page.html"
    assert main(["-q", "-C", str(workspace), "report", "--html", str(inside)]) == ExitCode.OK
    after = tree(workspace)
    assert after.keys() - before.keys() == {"page.html"}
    assert {name: after[name] for name in before} == before


def test_a_check_that_finds_problems_leaves_the_tree_too(workspace: Path) -> None:
    (workspace / "data/users.parquet").write_bytes(b"no table")
    before = tree(workspace)
    assert main(["-q", "-C", str(workspace), "check", "--date", DAY]) == ExitCode.CHECK
    assert tree(workspace) == before
