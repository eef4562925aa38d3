"""What is published in a workspace: the lists of a date, of a run, the last ones."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path

import polars as pl
from loguru import logger
from pydantic import JsonValue

from recsys_cli.configs.dotted_keys import flat
from recsys_cli.pipelines.publication.manifest import PublicationManifest
from recsys_cli.pipelines.publication.recommendations_file import published_manifest
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.pipelines.workspace.run_record import read_record, run_file
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, TITLE
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import RecsysError, UsageError, first_line
from recsys_cli.utils.storage.regular_files import is_regular
from recsys_cli.utils.storage.replacement_journal import standing
from recsys_cli.utils.storage.table_files import read_parquet_file

Publications = dict[date, PublicationManifest]
RunSettings = dict[str, JsonValue]  # by dotted key
_RECENT_DAYS = 31
_DATE = "date="


def publications(workspace: Workspace, last: date, most: int) -> Publications:
    """Return the manifests of the newest complete publications up to a day, the earliest first.

    Each one's file is hashed; a folder with lists that are not complete is logged and left out.
    """
    found: Publications = {}
    for one in sorted(_days_of_folders(workspace), reverse=True):
        if one > last or len(found) == most:
            continue
        day = ScoringDay(workspace, one)
        manifest = published_manifest(day)
        if manifest is not None:
            found[one] = manifest
        elif day.file.exists():
            logger.warning(
                "the lists in {} are not complete: `recsys verify {}` shows why", day.recommendations, day
            )
    return dict(reversed(found.items()))


def last_published_day(workspace: Workspace) -> date | None:
    """Return the latest day with published recommendations."""
    return next(iter(publications(workspace, date.max, 1)), None)


def _days_of_folders(workspace: Workspace) -> Iterator[date]:
    for name in workspace.published.names():
        with suppress(UsageError):
            if name.startswith(_DATE):
                yield parse_day(name.removeprefix(_DATE))


def run_settings(workspace: Workspace, run_id: str | None) -> RunSettings:
    """Return the settings of a run, by dotted key; none where its record is gone."""
    if run_id is None:
        return {}
    try:
        return flat(read_record(run_file(workspace, run_id)).settings)
    except (OSError, ValueError):
        return {}


def titles_on(day: ScoringDay) -> dict[int | str, str | None]:
    """Return the items' titles as the features of a day have them; none where these are gone."""
    file = day.features / "items.parquet"
    if not is_regular(file):
        return {}
    try:
        return dict(read_parquet_file(file, [ITEM_ID, TITLE]).iter_rows())
    except (pl.exceptions.PolarsError, OSError) as error:
        logger.warning("{} has no titles that can be read: {}", file, first_line(error))
        return {}


def example_user(day: ScoringDay) -> str:
    """Return the id of a warm user of the published run.

    Raises: UsageError if nothing is published for the day.
    """
    published = published_manifest(day)
    if published is None:
        raise UsageError(
            f"no user is named, and nothing is published for {day}",
            where="recsys explain",
            fix="give a USER_ID, or run `recsys score` first",
        )
    return str(published.example_user)


def recent_lists(day: ScoringDay) -> ScoringDay | None:
    """Return the newest day with complete lists of all users up to a day, 31 days earlier at most."""
    for age in range(min(_RECENT_DAYS, (day.date - date.min).days) + 1):
        earlier = ScoringDay(day.workspace, day.date - timedelta(days=age))
        manifest = published_manifest(earlier)
        if manifest is not None and manifest.all_users:
            return earlier
    return None


def published_file(workspace: Workspace, named: str | None) -> Path:
    """Return the file that a date, a run's id or a path names; for None, the last published one.

    Raises: UsageError if there is none.
    """
    if named is None:
        return _last_file(workspace)
    if _is_run(workspace, named):
        return _file_of_run(workspace, named)
    path = Path(named)
    for one in (path.absolute(), path.absolute().parent):
        standing(one)
    if path.is_dir():
        path /= RECOMMENDATIONS
    if not path.exists():
        path = ScoringDay(workspace, _day(named)).file
    if not path.exists():
        raise _nothing("there is no such file of recommendations", str(path), "run `recsys score` first")
    return path


def _is_run(workspace: Workspace, named: str) -> bool:
    with suppress(ValueError):
        return "/" not in named and is_regular(run_file(workspace, named))
    return False


def _last_file(workspace: Workspace) -> Path:
    for day in sorted(_days_of_folders(workspace), reverse=True):
        file = ScoringDay(workspace, day).file
        if file.exists():
            return file
    raise _nothing("nothing is published", str(workspace.published), "run `recsys score` first")


def _day(text: str) -> date:
    try:
        return parse_day(text)
    except RecsysError:
        raise _nothing(
            f"{text!a} is no date, no run and no path", "DATE|RUN|PATH", "write a date as 2026-07-01"
        ) from None


def _file_of_run(workspace: Workspace, run_id: str) -> Path:
    """Return the file of the lists that a run has published, if they are still there."""
    file = run_file(workspace, run_id)
    rejected = file.with_name("rejected.parquet")
    fix = f"look at {rejected}" if rejected.exists() else "name a complete run of `recsys score`"
    missing = _nothing("this run has published nothing", str(file), fix)
    try:
        record = read_record(file)
    except (OSError, ValueError):
        raise missing from None
    if record.day is None or record.sha256 is None:
        raise missing
    day = ScoringDay(workspace, record.day)
    found = published_manifest(day)
    if found is None or found.sha256 != record.sha256:
        run = None if found is None else found.run_id
        raise _nothing(
            f"the lists of this run are no longer there: those of {day} are of run {run}",
            str(file),
            "name a run whose lists are there, or a date",
        )
    return day.file


def _nothing(what: str, where: str, fix: str) -> UsageError:
    return UsageError(what, where=where, fix=fix)
