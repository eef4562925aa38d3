"""`verify`: published recommendations re-hashed, re-read and held against all that they promise."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from recsys_cli.pipelines.publication.recommendations_file import write_sidecars
from recsys_cli.pipelines.publication.validation import file_problems, read_facts
from recsys_cli.pipelines.workspace.layout import MANIFEST, SUCCESS
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json


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


def _differences(manifest: Mapping[str, Any], told: Mapping[str, Any]) -> list[str]:
    """Tell of a manifest that is whole, and of another file."""
    others = [name for name, value in told.items() if manifest.get(name) != value]
    return [f"it differs from its {MANIFEST} in {', '.join(others)}"] if others else []
