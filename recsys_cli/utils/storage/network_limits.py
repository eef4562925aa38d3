"""Bounds on what comes over the network: seconds, bytes and hosts."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from recsys_cli.utils.credentials import without_credentials
from recsys_cli.utils.errors import OutputError

_GIGABYTE = 10**9
_RESERVE = 64 * 2**20  # bytes of a disk that no download takes

StorageOptions = Mapping[str, Mapping[str, Any]]  # options of each scheme's file system, and of the network
NO_OPTIONS: StorageOptions = MappingProxyType({})


class StoreError(Exception):
    """An object store or web server failed or gave an unusable answer; credentials in the text are masked.

    Attributes:
        fix: how to put it right; empty: by address, credentials and rights.
    """

    def __init__(self, what: str, fix: str = "") -> None:
        super().__init__(without_credentials(what))
        self.fix = fix


@dataclass(frozen=True)
class NetworkLimits:
    """What a download, or a call of an object store, may take.

    Attributes:
        max_seconds: in all, with connecting, waiting and every try.
        max_gigabytes: of one file.
        redirect_hosts: that a web server may redirect to; `*.example.org`: all hosts below it.
    """

    max_seconds: float = 1_800
    max_gigabytes: float = 100.0
    redirect_hosts: tuple[str, ...] = ()

    @classmethod
    def of(cls, options: StorageOptions) -> "NetworkLimits":
        """Return the limits of the settings' options; the defaults where they have none."""
        return cls(**options.get("network", {}))

    def check_size(self, size: int) -> None:
        """Raise: StoreError if a file of this many bytes is larger than a file may be."""
        if size > self.max_gigabytes * _GIGABYTE:
            raise StoreError(
                f"the file has more than storage.network.max_gigabytes = {self.max_gigabytes:g}",
                "raise that setting if so large a file is expected",
            )


def check_room(size: int, folder: Path) -> None:
    """Raise: OutputError if so many bytes more would fill the disk of a folder."""
    free = shutil.disk_usage(folder).free
    if size + _RESERVE > free:
        raise OutputError(
            f"the disk has no room for a download: {free:,} bytes are free, "
            f"it needs {size:,} and a reserve of {_RESERVE:,}",
            where=str(folder),
            fix="make room there, or lower storage.network.max_gigabytes if the file cannot be so large",
        )
