"""`verify`: published recommendations hashed and read again, and checked against all that they promise."""

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from recsys_cli.pipelines.publication.manifest import FileFacts, PublicationManifest, RunFacts
from recsys_cli.pipelines.publication.recommendations_file import write_sidecars
from recsys_cli.pipelines.publication.validation import file_problems, read_facts
from recsys_cli.pipelines.workspace.layout import MANIFEST, SUCCESS, Workspace
from recsys_cli.utils.storage.hashing import sha256_of
from recsys_cli.utils.storage.json_files import read_sealed_json
from recsys_cli.utils.storage.locks import locked
from recsys_cli.utils.storage.regular_files import is_regular
from recsys_cli.utils.storage.safe_paths import path_below
from recsys_cli.utils.storage.steady_reads import read_steadily


@dataclass(frozen=True)
class Verification:
    """What was found of one publication.

    Attributes:
        facts: those stored in the file; None where it cannot be read; sha256: the file's hash, then.
        problems: of the file itself; sidecars: of the manifest and _SUCCESS beside it.
    """

    file: Path
    facts: FileFacts | None
    sha256: str | None
    problems: list[str]
    sidecars: list[str]

    @property
    def needs_repair(self) -> bool:
        """Whether the file is intact, and what lies beside it is not."""
        return bool(self.sidecars) and not self.problems

    def as_json(self) -> dict[str, object]:
        """Return what was found as a JSON object."""
        facts = {} if self.facts is None else {**self.facts.as_stored(), "sha256": self.sha256}
        return {
            "schema_version": 1,
            "path": str(self.file),
            "problems": self.problems,
            "sidecars": self.sidecars,
            **facts,
        }


def verify(file: Path) -> Verification:
    """Hash and read a file of recommendations, its manifest and _SUCCESS; nothing is written.

    Where another run publishes meanwhile, what is there then is read.
    """
    return read_steadily(file.parent, lambda: _verify(file))


def _verify(file: Path) -> Verification:
    try:
        facts = read_facts(file)
    except (OSError, pa.ArrowException, ValueError) as error:
        return Verification(file, None, None, [f"it cannot be read: {error}"], [])
    if facts is None:
        return Verification(file, None, None, ["it is no file that `recsys score` has written"], [])
    sha256 = sha256_of(file)
    problems, sidecars = file_problems(file, facts) + _quota_problems(file, facts), []
    try:
        manifest = PublicationManifest.read(read_sealed_json(file.with_name(MANIFEST)))
        problems += _differences(manifest, facts, sha256)
    except FileNotFoundError:
        sidecars.append(f"{MANIFEST} is missing")
    except (OSError, ValueError) as error:
        sidecars.append(f"{MANIFEST} cannot be trusted: {error}")
    if not is_regular(file.with_name(SUCCESS)):
        sidecars.append(f"{SUCCESS} is missing")
    return Verification(file, facts, sha256, problems, sidecars)


def _quota_problems(file: Path, facts: FileFacts) -> list[str]:
    """Return what is wrong with the tables of the quotas beside a file."""
    problems = []
    for name, expected in (facts.lists.files if facts.lists else {}).items():
        try:
            found = sha256_of(path_below(file.parent, name))
        except (OSError, ValueError):
            problems.append(f"{name} is missing")
        else:
            problems += [] if found == expected else [f"{name} is not the one that was written"]
    return problems


def repair(workspace: Workspace, found: Verification) -> Verification:
    """Write the manifest and _SUCCESS of an intact file again, from the facts stored in it.

    The file is verified again under the lock of its day: another run may have replaced it.

    Raises: OutputError; LockedError where another run has the day.
    """
    if found.facts is None or not found.needs_repair:
        return found
    day = _locked_day(workspace, found.file, found.facts)
    with locked(workspace.lock(day), f"the recommendations of {day.removeprefix('date=')}"):
        now = verify(found.file)
        if now.facts is None or not now.needs_repair:
            return now
        write_sidecars(now.file, now.facts, RunFacts(run_id=None, started=None))
        return verify(now.file)


def _locked_day(workspace: Workspace, file: Path, facts: FileFacts) -> str:
    """Return the name of the day whose lock whoever writes beside the file holds."""
    is_published = file.parent.parent.resolve() == workspace.published.folder.resolve()
    return file.parent.name if is_published else f"date={facts.day}"


def _differences(manifest: PublicationManifest, facts: FileFacts, sha256: str) -> list[str]:
    """Return, as a line, the fields in which an intact manifest differs from its file."""
    expected = {**facts.as_stored(), "sha256": sha256}
    beside = manifest.as_stored()
    others = [name for name, value in expected.items() if beside.get(name) != value]
    return [f"it differs from its {MANIFEST} in {', '.join(others)}"] if others else []
