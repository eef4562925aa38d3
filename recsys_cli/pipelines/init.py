"""A new workspace: settings that read the user's tables, or the demo's with the data itself."""

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qsl, urlsplit

from recsys_cli.configs.layers import PREFIX
from recsys_cli.configs.secrets import is_secret_name
from recsys_cli.configs.toml_templates import guessed_text, preset_text
from recsys_cli.data_preparation.column_guessing.column_mapping import Guess, UnusedColumn, guess_data
from recsys_cli.data_preparation.column_guessing.timestamps import day_after
from recsys_cli.data_preparation.demo_data.catalogue import LAST_DAY
from recsys_cli.data_preparation.demo_data.generate import DemoShape, foreign_tables, generate, has_demo
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.models.settings_tree import settings_tree
from recsys_cli.utils.errors import InputError, UsageError
from recsys_cli.utils.progress import Progress, no_progress
from recsys_cli.utils.query_text import problem_of_query
from recsys_cli.utils.storage.atomic_writes import replacing
from recsys_cli.utils.storage.regular_files import SETTINGS_BYTES, IrregularFileError, read_regular
from recsys_cli.utils.storage.uris import is_database, is_uri, shown

SETTINGS = Path("settings/settings.toml")
_FILE_DATABASES = ("sqlite", "duckdb")
_ARCHIVES = {
    "movielens-100k": ("u.data", "u.user", "u.item"),
    "movielens-1m": ("ratings.dat", "users.dat", "movies.dat"),
    "movielens-latest": ("ratings.csv", "movies.csv"),
    "kion": ("interactions.csv", "users.csv", "items.csv"),
}


@dataclass(frozen=True)
class InitReport:
    """What `init` left behind.

    Attributes:
        preset: the preset, a MovieLens archive by its own name.
        settings_kept: the settings were there before, and may differ from the preset's.
        data: what became of the demo's tables.
        guesses: what the mapping of generic tables rests on.
        day: the first day that can be scored with every event known.
        unused: columns of generic tables that the settings leave out.
    """

    workspace: Path
    preset: str
    settings_kept: bool
    data: Literal["none", "generated", "kept"]
    guesses: tuple[Guess, ...]
    day: date | None
    unused: tuple[UnusedColumn, ...] = ()

    @property
    def settings_file(self) -> Path:
        """The file to read first."""
        return self.workspace / SETTINGS


def init_demo(workspace: Path, shape: DemoShape, progress: Progress = no_progress) -> InitReport:
    """Write the demo's settings unless there are some, and its data unless it is there.

    Raises: UsageError if other data lie where the demo's go; OutputError if the folder cannot be written.
    """
    folder = workspace / "data"
    _refuse_foreign(folder)
    kept = (workspace / SETTINGS).exists()
    present = has_demo(shape, folder)
    if not present:
        generate(shape, folder, progress)
    if not kept:
        _write(workspace, preset_text(shape.scene))
    day = LAST_DAY + timedelta(days=1)
    return InitReport(workspace, shape.scene, kept, "kept" if present else "generated", (), day)


def init_generic(
    workspace: Path,
    places: Mapping[str, str],
    named: Sequence[tuple[str, str]] = (),
    queries: Mapping[str, str] | None = None,
) -> InitReport:
    """Write settings for the user's own tables.

    Args:
        workspace: the new workspace's folder.
        places: by table, the file, folder or glob, relative to the current folder or absolute; or the address
            of a database.
        queries: by table, what a database is asked.
        named: contract column and source column, for what cannot be guessed.

    Raises: UsageError if other settings are there, or a query has no database or a database no query;
        InputError for a table that cannot be mapped.
    """
    asked = queries or {}
    for name in asked:
        if name not in places or not is_database(places[name]):
            raise UsageError(
                f"the query is for a database, and --{name} names none",
                where=f"--query {name}=…",
                fix=f"give its address after --{name}, such as postgresql://user@host/database",
            )
    tables = {name: _table(workspace, name, place, asked.get(name, "")) for name, place in places.items()}
    data, guesses, unused = guess_data(tables, InputFolder(workspace), named)
    day = day_after(data.interactions, InputFolder(workspace))
    kept = _write_new(workspace, guessed_text(data))
    return InitReport(workspace, "generic", kept, "none", tuple(guesses), day, tuple(unused))


def init_movielens(workspace: Path, source: str) -> InitReport:
    """Write settings for a MovieLens archive: its folder, or one of the files in it.

    Raises: UsageError if other settings are there; InputError if the folder holds no such archive.
    """
    archives = [name for name in _ARCHIVES if name.startswith("movielens")]
    return _init_archive(workspace, source, archives)


def init_kion(workspace: Path, source: str) -> InitReport:
    """Write settings for the KION data set: its folder, or one of the files in it.

    Raises: UsageError if other settings are there; InputError if the folder does not hold it.
    """
    return _init_archive(workspace, source, ["kion"])


def _init_archive(workspace: Path, source: str, archives: Sequence[str]) -> InitReport:
    folder = Path(source).parent if Path(source).is_file() else Path(source)
    archive = next((one for one in archives if all((folder / f).is_file() for f in _ARCHIVES[one])), None)
    if archive is None:
        choices = ", or ".join(", ".join(_ARCHIVES[one]) for one in archives)
        raise InputError(
            f"the folder does not hold {choices}",
            where=str(folder),
            fix="unpack the archive, and give its folder after --interactions",
        )
    text = preset_text(archive, _seen_from(workspace, str(folder)))
    settings = settings_tree().model_validate(tomllib.loads(text)["default"])
    day = day_after(settings.data.interactions, InputFolder(workspace))
    return InitReport(workspace, archive, _write_new(workspace, text), "none", (), day)


def _table(workspace: Path, name: str, place: str, query: str) -> dict[str, str]:
    """Return the settings that say where a table lies.

    The password of a database is taken from the environment: it would stay in the shell's history, and in the
    settings.
    """
    if not is_database(place):
        return {"path": _seen_from(workspace, place)}
    variable = f"{PREFIX}DATA__{name.upper()}__PASSWORD"
    if not query:
        fix = f"add --query '{name}=SELECT …'"
        raise UsageError("a database needs a query", where=f"--{name} {shown(place)}", fix=fix)
    if problem := problem_of_query(query):
        fix = "ask for the rows of one table; {date} stands for the first moment of a run's date"
        raise UsageError(f"the query {problem}", where=f"--query {name}=…", fix=fix)
    address = urlsplit(place)
    if address.password or any(is_secret_name(name) for name, _ in parse_qsl(address.query)):
        raise UsageError(
            "the address holds a password, and would be written to the settings",
            where=f"--{name} {shown(place)}",
            fix=f"leave it out there, and put it into the environment as {variable}",
        )
    connection = _file_seen_from(workspace, place)
    return {"connection": connection, "query": query, "password": os.environ.get(variable, "")}


def _file_seen_from(workspace: Path, place: str) -> str:
    """Return a database's address; of a file below the current folder, as it is seen from the workspace."""
    scheme, _, path = place.partition(":///")
    if scheme not in _FILE_DATABASES or not path or path.startswith("/"):
        return place
    return f"{scheme}:///{_seen_from(workspace, path)}"


def _seen_from(workspace: Path, path: str) -> str:
    """Return a path relative to the workspace if it lies inside, else absolute; a URI as it is."""
    if is_uri(path):
        return path
    whole, root = Path(os.path.abspath(path)), Path(os.path.abspath(workspace))
    return str(whole.relative_to(root) if whole.is_relative_to(root) else whole)


def _refuse_foreign(folder: Path) -> None:
    foreign = foreign_tables(folder)
    if foreign:
        raise UsageError(
            "the demo's data would replace files that it did not make",
            where=", ".join(map(str, foreign)),
            fix="choose another folder: recsys init DIR --preset demo",
        )


def _write_new(workspace: Path, text: str) -> bool:
    """Write the settings, and return whether the same ones were there already."""
    file = workspace / SETTINGS
    if not file.exists():
        _write(workspace, text)
        return False
    try:
        is_same = read_regular(file, SETTINGS_BYTES) == text.encode()
    except IrregularFileError:
        is_same = False
    if not is_same:
        raise UsageError(
            "the folder has other settings already",
            where=str(file),
            fix="choose another folder, or move this file away first",
        )
    return True


def _write(workspace: Path, text: str) -> None:
    with replacing(workspace / SETTINGS) as temporary:
        temporary.write_text(text, encoding="utf-8")
