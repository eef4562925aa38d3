"""The Makefile, run as a newcomer and as cron would run it."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TARGETS = "help setup install demo train batch test lint black isort pylint fmt bench torture clean".split()
CRON = {"HOME": "/nonexistent", "PATH": "/usr/bin:/bin"}
SET_UP = ROOT / ".venv" / ".set-up"

needs_set_up = pytest.mark.skipif(not SET_UP.exists(), reason="only `make setup` prepares what batch needs")


def make(*args: str | Path, env: dict[str, str], timeout: int = 120) -> subprocess.CompletedProcess[str]:
    """Run make from `/` with this environment and no other."""
    program = shutil.which("make")
    assert program
    return subprocess.run(
        [program, *map(str, args)],
        cwd="/",
        env=env,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that nobody has set up, in a folder with a space."""
    copy = tmp_path / "fresh checkout"
    shutil.copytree(ROOT / ".make", copy / ".make")
    for name in ("Makefile", "pyproject.toml", "poetry.lock"):
        shutil.copy(ROOT / name, copy)
    return copy


def path_with(folder: Path, *tools: str) -> str:
    """Return a PATH on which there are only these tools, beside the plainest ones."""
    folder.mkdir()
    for tool in ("sh", "awk", "sed", "cat", "cksum", *tools):
        found = shutil.which(tool, path=os.defpath)
        assert found, tool
        (folder / tool).symlink_to(found)
    return str(folder)


def test_help_is_the_default_and_lists_every_target_on_one_line() -> None:
    done = make("-C", ROOT, env=CRON)
    assert done.returncode == 0
    listed = [line.split()[0] for line in done.stdout.splitlines() if line.startswith("  ")]
    assert listed == TARGETS


def test_all_missing_tools_are_named_before_anything_is_installed(checkout: Path, tmp_path: Path) -> None:
    done = make("-C", checkout, "demo", env={"PATH": path_with(tmp_path / "bin")})
    assert done.returncode != 0
    assert "python3, version 3.11 to 3.13" in done.stderr
    assert "a C compiler" in done.stderr
    assert "apt-get install python3 python3-venv python3-dev gcc" in done.stderr
    assert not (checkout / ".venv").exists()
    assert not (checkout / ".poetry").exists()


def test_an_unsuitable_python_is_named_with_its_version(checkout: Path, tmp_path: Path) -> None:
    path = path_with(tmp_path / "bin")
    old_python = tmp_path / "bin" / "python3"
    old_python.write_text('#!/bin/sh\n[ "$1" = --version ] || exit 1\necho Python 3.9.2\n')
    old_python.chmod(0o755)
    done = make("-C", checkout, "setup", env={"PATH": path})
    assert done.returncode != 0
    assert "found: Python 3.9.2" in done.stderr


def test_batch_before_set_up_says_so(checkout: Path) -> None:
    done = make("-C", checkout, "batch", env=CRON)
    assert done.returncode == 2
    assert "error: this checkout is not set up" in done.stderr
    assert "fix: make setup" in done.stderr


@needs_set_up
def test_batch_fails_where_recsys_does_and_names_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "settings.toml").write_text(
        '[default.data.interactions]\npath = "absent.parquet"\n'
    )
    done = make("-s", "-C", ROOT, "batch", "DATE=2026-07-01", f"WORKSPACE={tmp_path}", env=CRON)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    first, *_, fix, last = done.stderr.splitlines()
    assert first.startswith("error: ")
    assert fix.startswith("  fix: ")
    assert last.startswith("make: ") and last.endswith("Error 3")
    assert done.stderr.count("error") == 1


@needs_set_up
@pytest.mark.parametrize("date", ["2026-02-30", "../x", "it's", "$$(touch x)"])
def test_batch_hands_a_bad_date_to_recsys_as_it_is(tmp_path: Path, date: str) -> None:
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "settings.toml").touch()
    done = make("-s", "-C", ROOT, "batch", f"DATE={date}", f"WORKSPACE={tmp_path}", env=CRON)
    assert done.returncode == 2
    assert done.stdout == ""
    assert date.replace("$$", "$") in done.stderr


@needs_set_up
@pytest.mark.parametrize("flag", ["-n", "-q", "-t"])
def test_asking_make_what_it_would_do_runs_nothing(tmp_path: Path, flag: str) -> None:
    done = make("-C", ROOT, flag, "batch", f"WORKSPACE={tmp_path}", env=CRON)
    assert "error" not in done.stderr
    assert not list(tmp_path.iterdir())
