"""`verify`: published recommendations re-hashed, re-read and held against all that they promise."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys_cli.pipelines.file_checks import file_problems, read_facts
from recsys_cli.pipelines.publication import write_sidecars
from recsys_cli.pipelines.workspace import MANIFEST, RECOMMENDATIONS, SUCCESS, Workspace
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import RecsysError, UsageError
from recsys_cli.utils.files import read_json, read_sealed_json, sha256_of


@dataclass(frozen=True)
class Verification:
    """What was found of one publication.

    Attributes:
        facts: what the file tells of itself, and its hash; empty where it cannot be read.
        problems: of the file itself; sidecars: of the manifest and _SUCCESS beside it.
    """

    file: Path
    facts: Mapping[str, Any]
    problems: list[str]
    sidecars: list[str]


def verify(file: Path) -> Verification:
    """Hash and read a file of recommendations and what stands beside it; nothing is written."""
    try:
        facts = read_facts(file)
    except (OSError, pa.ArrowException, ValueError) as error:
        return Verification(file, {}, [f"it cannot be read: {error}"], [])
    if facts is None:
        return Verification(file, {}, ["it is no file that `recsys score` has written"], [])
    told = {**facts, "sha256": sha256_of(file)}
    problems, sidecars = file_problems(file, facts), []
    try:
        problems += _differences(read_sealed_json(file.with_name(MANIFEST)), told)
    except FileNotFoundError:
        sidecars.append(f"{MANIFEST} is missing")
    except (OSError, ValueError) as error:
        sidecars.append(f"{MANIFEST} cannot be trusted: {error}")
    if not file.with_name(SUCCESS).exists():
        sidecars.append(f"{SUCCESS} is missing")
    return Verification(file, told, problems, sidecars)


def repair(found: Verification) -> Verification:
    """Write the manifest and _SUCCESS of a whole file again, from what it tells of itself.

    Raises: OutputError.
    """
    facts = {name: value for name, value in found.facts.items() if name != "sha256"}
    write_sidecars(found.file, facts, {"run_id": None, "started": None})
    return verify(found.file)


def published_file(workspace: Workspace, what: str | None) -> Path:
    """Return the file that a date, a run's id, a path or, for None, the last publication means.

    Raises: UsageError where it means none.
    """
    if what is None:
        files = sorted(workspace.published.glob(f"date=????-??-??/{RECOMMENDATIONS}"))
        if not files:
            raise _nothing("nothing is published", str(workspace.published), "run `recsys score` first")
        return files[-1]
    record = workspace.runs / what / "run.json"
    if "/" not in what and record.is_file():
        return workspace.recommendations(_day_of(record)) / RECOMMENDATIONS
    path = Path(what)
    if path.is_dir():
        path /= RECOMMENDATIONS
    if not path.exists():
        path = workspace.recommendations(_day(what)) / RECOMMENDATIONS
    if not path.exists():
        raise _nothing("there is no such file of recommendations", str(path), "run `recsys score` first")
    return path


def _day(text: str) -> date:
    try:
        return parse_day(text)
    except RecsysError:
        raise _nothing(
            f"{text!a} is no date, no run and no path", "recsys verify", "write a date as 2026-07-01"
        ) from None


def _day_of(record: Path) -> date:
    try:
        return parse_day(str(read_json(record)["date"]))
    except (OSError, ValueError, KeyError, TypeError, RecsysError):
        raise _nothing(
            "this run has published nothing", str(record), "name a complete run of `recsys score`"
        ) from None


def _nothing(what: str, where: str, fix: str) -> UsageError:
    return UsageError(what, where=where, fix=fix)


def _differences(manifest: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    """Tell of a manifest that is whole, and of another file."""
    others = [name for name, value in told.items() if manifest.get(name) != value]
    return [f"it differs from its {MANIFEST} in {', '.join(others)}"] if others else []
