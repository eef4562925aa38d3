"""Disks, volumes and overlays that are mounted for a case."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

_OVERLAY_SIZE = 256 << 20  # bytes of the disk that holds an overlay's layers


def needs_root() -> str:
    """Return why nothing can be mounted here, nor another user be played."""
    return "" if os.geteuid() == 0 else "needs root"


@cache
def cannot_mount() -> str:
    """Return why no volumes and overlays can be mounted here; empty where they can."""
    try:
        with TemporaryDirectory() as name, mounted_disk(Path(name), _OVERLAY_SIZE) as disk:
            (disk / "lower").mkdir()
            with mounted_overlay(disk):
                return ""
    except (OSError, subprocess.CalledProcessError):
        return "needs the right to mount volumes and overlays"


@contextmanager
def mounted_disk(folder: Path, size: int) -> Iterator[Path]:
    """Mount a small disk at a folder for a block; size: in bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    with _mounted(folder, "-t", "tmpfs", "-o", f"size={size}", "tmpfs"):
        yield folder


@contextmanager
def mounted_volume(source: Path, folder: Path) -> Iterator[None]:
    """Mount one folder at another for a block, as a container's volume; both lie on one disk."""
    with _mounted(folder, "--bind", str(source)):
        yield


@contextmanager
def mounted_overlay(disk: Path) -> Iterator[Path]:
    """Yield an empty layer over the folder `lower` of a disk, as a container's file system."""
    for name in ("upper", "work", "workspace"):
        (disk / name).mkdir()
    layers = f"lowerdir={disk}/lower,upperdir={disk}/upper,workdir={disk}/work"
    with _mounted(disk / "workspace", "-t", "overlay", "-o", layers, "overlay"):
        yield disk / "workspace"


@contextmanager
def overlaid_disk(folder: Path) -> Iterator[Path]:
    """Mount a disk for the layers of an overlay for a block."""
    with mounted_disk(folder, _OVERLAY_SIZE) as disk:
        yield disk


def mount(*words: str) -> None:
    """Run mount."""
    subprocess.run(["mount", *words], check=True, capture_output=True)


@contextmanager
def _mounted(folder: Path, *words: str) -> Iterator[None]:
    mount(*words, str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)
