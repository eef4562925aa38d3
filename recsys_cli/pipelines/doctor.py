"""What this machine and this workspace are like: versions, threads, disk, and the files that runs read."""

import os
import platform
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_info

from recsys_cli.configs.toml_files import LOCAL_FILE, MAIN_FILE, RULES_FILE, SECRETS_FILE
from recsys_cli.data_preparation.readers.local_files import source_sizes
from recsys_cli.data_preparation.readers.row_sources import shown_source
from recsys_cli.models.versions.registry import promoted_version
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import library_versions
from recsys_cli.utils.errors import RecsysError
from recsys_cli.utils.storage.file_rights import OpenRight, open_rights
from recsys_cli.utils.storage.folder_checks import may_be_made, nearest_existing
from recsys_cli.utils.storage.result_store import Results
from recsys_cli.utils.storage.uris import is_uri

_SHOWN_RIGHTS = 5  # of each kind


@dataclass(frozen=True)
class Finding:
    """Something that was checked: its value, and its problem, empty if there is none."""

    area: str
    what: str
    value: str
    problem: str = ""


def collect_findings(workspace: Workspace) -> list[Finding]:
    """Look at the machine and the workspace; only names and sizes are read, nothing is written."""
    return [
        *_machine(workspace),
        *_libraries(),
        *_folders(workspace),
        *_rights(workspace),
        *_inputs(workspace),
        _model(workspace),
    ]


def _machine(workspace: Workspace) -> list[Finding]:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    blas = {f"{one['internal_api']} {one['version']}, {one['num_threads']} threads" for one in _pools("blas")}
    return [
        Finding("machine", "system", platform.platform()),
        Finding("machine", "python", f"{platform.python_version()} ({sys.executable})"),
        Finding(
            "machine", "cores", f"{len(os.sched_getaffinity(0))}, runtime.threads gives {workspace.threads}"
        ),
        Finding("machine", "memory", f"{memory / 1e9:.1f} GB"),
        Finding(
            "machine", "blas", "; ".join(sorted(blas)) or "none", "" if blas else "numpy has no BLAS: slow"
        ),
    ]


def _pools(kind: str) -> list[dict[str, Any]]:
    return [one for one in threadpool_info() if one["user_api"] == kind]


def _libraries() -> list[Finding]:
    return [Finding("libraries", name, version) for name, version in library_versions().items()]


def _folders(workspace: Workspace) -> list[Finding]:
    stored = {
        "features": workspace.partitions,
        "models": workspace.models,
        "recommendations": workspace.published,
    }
    found = [_store(name, one) for name, one in stored.items() if one.store is not None]
    folders = {name: one.folder for name, one in stored.items()} | {"runs": workspace.runs}
    found += [_folder(name, folder) for name, folder in folders.items()]
    return [*found, Finding("output", "checkpoints", str(workspace.checkpoints))]


def _store(name: str, results: Results) -> Finding:
    try:
        return Finding("output", name, f"{results}, {len(results.names()):,} names")
    except RecsysError as error:
        return Finding("output", name, str(results), error.what)


def _folder(name: str, folder: Path) -> Finding:
    nearest = nearest_existing(folder)
    free = shutil.disk_usage(nearest).free
    problem = "" if may_be_made(folder) else "it cannot be written by this user"
    return Finding("output", name, f"{folder}, {free / 1e9:.1f} GB free", problem)


def _rights(workspace: Workspace) -> list[Finding]:
    """Return a finding for each file or folder that a run trusts, and that others may change."""
    root, models = workspace.root, workspace.models.folder
    locks = workspace.lock("any").parent
    trusted = {
        "settings": [
            root,
            *(root / name for name in (MAIN_FILE, RULES_FILE, LOCAL_FILE)),
            (root / MAIN_FILE).parent,
        ],
        "models": [models, *_below(models, "[!.]*"), *_below(models, "[!.]*/*")],
        "locks": [workspace.runs, locks, *_below(locks, "*")],
    }
    found = {name: [*open_rights(paths)] for name, paths in trusted.items()}
    found["secrets"] = [*open_rights([root / SECRETS_FILE], secret=True)]
    open_ones = [finding for name, rights in found.items() for finding in _open_ones(name, rights)]
    return open_ones or [Finding("rights", ", ".join(found), "nobody else may change them")]


def _open_ones(name: str, rights: list[OpenRight]) -> list[Finding]:
    shown = [Finding("rights", name, f"{one.path}: {one.what}", one.fix) for one in rights[:_SHOWN_RIGHTS]]
    more = len(rights) - len(shown)
    return shown + ([Finding("rights", name, f"{more} more", "as above")] if more else [])


def _below(folder: Path, pattern: str) -> list[Path]:
    return sorted(folder.glob(pattern))


def _inputs(workspace: Workspace) -> list[Finding]:
    data = workspace.settings.data
    tables = {"interactions": data.interactions, "users": data.users, "items": data.items}
    found = []
    for name, table in tables.items():
        path = shown_source(table, workspace.root) if is_uri(table.path or table.connection) else table.path
        if not table.is_given:
            found.append(
                Finding("inputs", name, "no such table", "" if name != "interactions" else "it is needed")
            )
            continue
        try:
            sizes = source_sizes(table, workspace.inputs)
            held = f"{len(sizes):,} files, {sum(sizes) / 1e6:,.1f} MB" if sizes else "not read yet"
            found.append(Finding("inputs", name, f"{path}: {held}"))
        except RecsysError as error:
            found.append(Finding("inputs", name, path, error.what))
    return found


def _model(workspace: Workspace) -> Finding:
    try:
        return Finding("model", "promoted", promoted_version(workspace.models))
    except RecsysError as error:
        return Finding("model", "promoted", "none", error.what)
