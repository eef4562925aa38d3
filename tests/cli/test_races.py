"""Commands beside another run of the date, on file systems without locks, and with few open files."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from errno import ENOLCK, ENOSYS, EOPNOTSUPP
from pathlib import Path

import pytest

from recsys_cli.cli.app import main
from recsys_cli.configs.loader import load_settings
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.pipelines.verify import Verification, repair, verify
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.utils.errors import ExitCode
from recsys_cli.utils.storage.atomic_writes import remove_abandoned, staging_folder
from recsys_cli.utils.storage.leftovers import names_in
from recsys_cli.utils.storage.locks import locked
from tests.torture.syscalls import can_watch

DAY, NEXT_DAY = "2026-03-02", "2026-03-03"
FOLDER = f"recommendations/date={DAY}"
WITHOUT_LOCKS = """
import sys
from recsys_cli.cli.app import main
from tests.torture.syscalls import refuse_locks
refuse_locks(int(sys.argv[1]))
sys.exit(main(sys.argv[2:]))
"""
needs_seccomp = pytest.mark.skipif(not can_watch(), reason="needs Linux on x86-64")


@pytest.fixture
def busy(workspace: Path) -> Iterator[Path]:
    """A workspace where another run has the date."""
    with locked(workspace / f"runs/.locks/date={DAY}.lock", "the tests"):
        yield workspace


def found(workspace: Path) -> Verification:
    return verify(workspace / FOLDER / "recommendations.parquet")


def of_settings(root: Path) -> Workspace:
    loaded = load_settings(root, None, (), settings_tree())
    return Workspace(loaded.workspace, loaded.settings, loaded.secrets)


def test_a_repair_waits_for_no_run_and_disturbs_none(busy: Path, refused: Callable[..., str]) -> None:
    (busy / FOLDER / "manifest.json").unlink()
    assert "another run is busy with the recommendations of 2026-03-02" in refused(
        ExitCode.LOCKED, "verify", DAY, "--repair"
    )


def test_a_verification_and_a_repair_of_intact_lists_need_no_lock(busy: Path) -> None:
    assert main(["-q", "-C", str(busy), "verify", DAY]) == ExitCode.OK
    assert main(["-q", "-C", str(busy), "verify", DAY, "--repair"]) == ExitCode.OK


def test_a_repair_decides_again_under_the_lock(workspace: Path) -> None:
    """What it saw before is no longer there: another run has published."""
    manifest = workspace / FOLDER / "manifest.json"
    manifest.unlink()
    before = found(workspace)
    assert before.needs_repair
    assert main(["-q", "-C", str(workspace), "score", "--date", DAY, "--top-k", "3"]) == ExitCode.OK
    published = manifest.read_bytes()
    after = repair(of_settings(workspace), before)
    assert not after.problems and not after.sidecars and after.sha256 != before.sha256
    assert manifest.read_bytes() == published


def test_a_copy_elsewhere_is_repaired_under_the_lock_of_its_own_day(busy: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(busy / FOLDER, tmp_path / "copy"))
    (copy / "_SUCCESS").unlink()
    assert main(["-q", "-C", str(busy), "verify", str(copy), "--repair"]) == ExitCode.LOCKED


def test_lists_under_the_name_of_another_day_are_repaired_under_that_day_s_lock(busy: Path) -> None:
    copy = Path(shutil.copytree(busy / FOLDER, busy / f"recommendations/date={NEXT_DAY}"))
    (copy / "_SUCCESS").unlink()
    assert main(["-q", "-C", str(busy), "verify", NEXT_DAY, "--repair"]) == ExitCode.OK
    assert (copy / "_SUCCESS").exists()


def test_explain_builds_features_under_the_lock_of_the_date(busy: Path, refused: Callable[..., str]) -> None:
    assert main(["-q", "-C", str(busy), "explain", "u01", "--date", DAY]) == ExitCode.OK  # reading is free
    shutil.rmtree(busy / f"features/date={DAY}")
    told = refused(ExitCode.LOCKED, "explain", "u01", "--date", DAY)
    assert "another run is busy with the features of 2026-03-02" in told
    assert not (busy / f"features/date={DAY}").exists()


def test_explain_builds_features_where_nobody_else_has_the_date(workspace: Path) -> None:
    shutil.rmtree(workspace / f"features/date={DAY}")
    assert main(["-q", "-C", str(workspace), "explain", "u01", "--date", DAY]) == ExitCode.OK
    assert (workspace / f"features/date={DAY}/manifest.json").exists()


@needs_seccomp
@pytest.mark.parametrize(
    ("error", "arguments"),
    [
        (ENOSYS, ("score", "--date", DAY, "--force")),
        (ENOLCK, ("models", "rollback")),
        (EOPNOTSUPP, ("models", "rollback")),
    ],
)
def test_a_file_system_without_locks_is_named(
    workspace: Path, error: int, arguments: tuple[str, ...]
) -> None:
    left = workspace / "runs/.locks"
    left.mkdir(parents=True)
    for name in (f"date={DAY}.lock", "models.lock"):  # of an earlier run: no sign that it still works
        (left / name).touch()
    command = [sys.executable, "-c", WITHOUT_LOCKS, str(error), "-C", str(workspace), *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == ExitCode.OUTPUT
    assert f"the file system has no file locks: {os.strerror(error)}" in ended.stderr
    assert f"where: {left} (" in ended.stderr and "mounted at /" in ended.stderr
    assert "another run" not in ended.stderr and "Traceback" not in ended.stderr


@pytest.mark.parametrize("allowed", [8, 16, 24])
def test_too_few_open_files_are_named_and_nothing_else_is_blamed(workspace: Path, allowed: int) -> None:
    script = f'ulimit -n {allowed}; exec "$@"'
    program = [sys.executable, "-m", "recsys_cli", "-C", str(workspace), "score", "--date", DAY, "--force"]
    ended = subprocess.run(
        ["bash", "-c", script, "bash", *program], capture_output=True, text=True, check=False
    )
    assert ended.returncode in (ExitCode.OK, ExitCode.OUTPUT), ended.stderr
    if ended.returncode == ExitCode.OUTPUT:
        assert f"error: too many open files: this process may open {allowed}\n" in ended.stderr
        assert "fix: run `ulimit -n 1024` first" in ended.stderr
        assert "panicked" not in ended.stderr
    assert not found(workspace).problems and not found(workspace).sidecars


def test_a_staging_folder_has_its_lock_beside_it_and_leaves_nothing(tmp_path: Path) -> None:
    with staging_folder(tmp_path) as one, staging_folder(tmp_path) as two:
        remove_abandoned(tmp_path)
        assert names_in(tmp_path) == sorted(
            f"{folder.stem}.{end}" for folder in (one, two) for end in ("lock", "part")
        )
    assert not names_in(tmp_path)


@pytest.mark.parametrize("left", [("lock",), ("part",), ("lock", "part")])
def test_what_a_kill_leaves_of_a_staging_folder_is_removed(tmp_path: Path, left: tuple[str, ...]) -> None:
    (tmp_path / ".another.part").mkdir()
    for end in left:
        path = tmp_path / f".0123456789abcdef.{end}"
        if end == "lock":
            path.touch()
        else:
            path.mkdir()
    remove_abandoned(tmp_path)
    assert names_in(tmp_path) == [".another.part"]
