"""The program where folders of the workspace are volumes, or layers of an overlay."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from recsys_cli.utils.errors import ExitCode

DAY = "2026-03-02"
UNSHARE = shutil.which("unshare") or ""
STEPS = 'python="$1"; shop="$2"; disk="$3"; run() { "$python" -m recsys_cli -q -C "$shop" "$@"; }; set -e\n'


def may_mount() -> bool:
    """Whether this user may mount an overlay in a name space of its own."""
    layers = "lowerdir=/mnt/l,upperdir=/mnt/u,workdir=/mnt/w"
    overlay = f"mkdir /mnt/l /mnt/u /mnt/w && mount -t overlay o -o {layers} /mnt"
    command = [UNSHARE, "-m", "sh", "-c", f"mount -t tmpfs t /mnt && {overlay}"]
    return bool(UNSHARE) and subprocess.run(command, capture_output=True, check=False).returncode == 0


pytestmark = pytest.mark.skipif(not may_mount(), reason="needs the right to mount volumes and overlays")


def in_mounts(steps: str, workspace: Path, disk: Path) -> subprocess.CompletedProcess[str]:
    """Run the steps of a shell, which mount and run the program, in a name space of mounts of their own."""
    disk.mkdir()
    return subprocess.run(
        [UNSHARE, "-m", "sh", "-c", STEPS + steps, "sh", sys.executable, str(workspace), str(disk)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_recommendations_that_are_a_volume_are_published_and_replaced(
    workspace: Path, tmp_path: Path
) -> None:
    done = in_mounts(
        f"""mount --bind "$disk" "$shop/recommendations"
        run score --date {DAY} && run score --date {DAY} --force
        run verify {DAY} && run check --date {DAY}""",
        workspace,
        tmp_path / "volume",
    )
    assert done.returncode == ExitCode.OK, done.stderr
    published = tmp_path / f"volume/date={DAY}/recommendations.parquet"
    assert (
        published.read_bytes()
        == (workspace / f"recommendations/date={DAY}/recommendations.parquet").read_bytes()
    )
    assert not list((tmp_path / "volume/.staged").iterdir())


def test_a_day_that_is_a_volume_is_reported_by_check_and_before_any_work(
    workspace: Path, tmp_path: Path
) -> None:
    mounted = f'mount --bind "$disk" "$shop/recommendations/date={DAY}"; '
    checked = in_mounts(f"{mounted} run check --date {DAY}", workspace, tmp_path / "one")
    scored = in_mounts(f"{mounted} run score --date {DAY}", workspace, tmp_path / "other")
    assert (checked.returncode, scored.returncode) == (ExitCode.CHECK, ExitCode.OUTPUT)
    assert "is a volume of its own (a mount point)" in checked.stdout
    assert scored.stderr.startswith("error: the folder is a volume of its own (a mount point)")
    assert "\n  fix: mount the folder above it instead" in scored.stderr


def test_lists_and_features_of_a_lower_layer_are_replaced(workspace: Path, tmp_path: Path) -> None:
    done = in_mounts(
        f"""mount -t tmpfs tmpfs "$disk"; mkdir "$disk/upper" "$disk/work"
        mount -t overlay overlay -o "lowerdir=$shop,upperdir=$disk/upper,workdir=$disk/work" "$shop"
        touch "$shop/data/users.parquet"
        run score --date {DAY} --top-k 3
        run verify {DAY}
        ls -A "$shop/recommendations" "$shop/features" """,
        workspace,
        tmp_path / "disk",
    )
    assert done.returncode == ExitCode.OK, done.stderr
    listed = done.stdout[done.stdout.index(f"{workspace}/") :].split()
    assert [name for name in listed if name.startswith((".", "date"))] == [f"date={DAY}"] * 2
