"""What is published in a workspace: the lists of a date, of a run, the last ones."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl
from loguru import logger

from recsys_cli.configs.dotted_keys import flat
from recsys_cli.pipelines.publication.recommendations_file import published_manifest
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.utils.columns import ITEM_ID, TITLE
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import RecsysError, UsageError
from recsys_cli.utils.storage.json_files import read_json

_RECENT_DAYS = 31
_DATE = "date="


def publications(workspace: Workspace, last: date, most: int) -> dict[date, dict[str, Any]]:
    """Return the manifests of the newest complete publications up to a day, the earliest first.

    Each one's file is hashed; a folder with lists that are not complete is told and left out.
    """
    found: dict[date, dict[str, Any]] = {}
    for day in sorted(_days_of_folders(workspace), reverse=True):
        if day > last or len(found) == most:
            continue
        folder = workspace.recommendations(day)
        manifest = published_manifest(folder)
        if manifest is not None:
            found[day] = manifest
        elif (folder / RECOMMENDATIONS).exists():
            logger.warning("the lists in {} are not complete: `recsys verify {}` tells why", folder, day)
    return dict(reversed(found.items()))


def last_published_day(workspace: Workspace) -> date | None:
    """Return the latest day with published recommendations."""
    return next(iter(publications(workspace, date.max, 1)), None)


def _days_of_folders(workspace: Workspace) -> Iterator[date]:
    for name in workspace.published.names():
        with suppress(UsageError):
            if name.startswith(_DATE):
                yield parse_day(name.removeprefix(_DATE))


def run_settings(workspace: Workspace, manifest: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the run that published lists, by dotted key; none where its record is gone."""
    try:
        return flat(read_json(workspace.runs / str(manifest["run_id"]) / "run.json")["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def titles_on(workspace: Workspace, day: date) -> dict[Any, str | None]:
    """Return the items' titles as the features of a day have them; none where these are gone."""
    file = workspace.features(day) / "items.parquet"
    if not file.is_file():
        return {}
    return dict(pl.read_parquet(file, columns=[ITEM_ID, TITLE]).iter_rows())


def example_user(workspace: Workspace, day: date) -> str:
    """Return the id of a warm user of the published run.

    Raises: UsageError if nothing is published for the day.
    """
    published = published_manifest(workspace.recommendations(day))
    if published is None:
        raise UsageError(
            f"no user is named, and nothing is published for {day}",
            where="recsys explain",
            fix="give a USER_ID, or run `recsys score` first",
        )
    return str(published["example_user"])


def recent_lists(workspace: Workspace, day: date) -> tuple[date, Path] | None:
    """Return date and file of the newest complete lists of all users up to a day, 31 days old at most."""
    for age in range(_RECENT_DAYS + 1):
        earlier = day - timedelta(days=age)
        manifest = published_manifest(workspace.recommendations(earlier))
        if manifest is not None and manifest["all_users"]:
            return earlier, workspace.recommendations(earlier) / RECOMMENDATIONS
    return None


def published_file(workspace: Workspace, what: str | None) -> Path:
    """Return the file that a date, a run's id, a path or, for None, the last publication means.

    Raises: UsageError where it means none.
    """
    if what is None:
        for day in sorted(_days_of_folders(workspace), reverse=True):
            file = workspace.recommendations(day) / RECOMMENDATIONS
            if file.exists():
                return file
        raise _nothing("nothing is published", str(workspace.published), "run `recsys score` first")
    if "/" not in what and (workspace.runs / what / "run.json").is_file():
        return _file_of_run(workspace, what)
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
            f"{text!a} is no date, no run and no path", "DATE|RUN|PATH", "write a date as 2026-07-01"
        ) from None


def _file_of_run(workspace: Workspace, run_id: str) -> Path:
    """Return the file of the lists that a run has published, if they are still there."""
    record = workspace.runs / run_id / "run.json"
    rejected = record.with_name("rejected.parquet")
    try:
        told = read_json(record)
        day, sha256 = parse_day(str(told["date"])), str(told["sha256"])
    except (OSError, ValueError, KeyError, TypeError, RecsysError):
        fix = f"look at {rejected}" if rejected.exists() else "name a complete run of `recsys score`"
        raise _nothing("this run has published nothing", str(record), fix) from None
    found = published_manifest(workspace.recommendations(day)) or {}
    if found.get("sha256") != sha256:
        raise _nothing(
            f"the lists of this run are no longer there: those of {day} are of run {found.get('run_id')}",
            str(record),
            "name a run whose lists are there, or a date",
        )
    return workspace.recommendations(day) / RECOMMENDATIONS


def _nothing(what: str, where: str, fix: str) -> UsageError:
    return UsageError(what, where=where, fix=fix)
