"""Campaign tables: the items that rules pin, for everybody or for some users, from a day until a day."""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Final

import polars as pl

from recsys_cli.configs.data_sections import TableSettings
from recsys_cli.data_preparation.readers.local_files import (
    OpenSource,
    collect_source,
    open_source,
    source_files,
    source_schema,
)
from recsys_cli.data_preparation.readers.remote_copies import InputFolder
from recsys_cli.data_preparation.tables.ids import cast_ids, id_problems
from recsys_cli.data_preparation.tables.problems import Problem, missing_column
from recsys_cli.data_preparation.tables.times import days
from recsys_cli.utils.columns import ITEM_ID, USER_ID
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.storage.hashing import sha256_of, sha256_of_json
from recsys_cli.utils.storage.uris import shown_path

FROM, UNTIL = DATES = ("from", "until")
_COLUMNS: Final = (USER_ID, ITEM_ID, *DATES)
_PATH: Final = "the `path` of the table in settings/settings.toml"  # as readers of any table say
_FIX: Final = "deliver the campaign again without these rows"
_FIX_OF_DATES: Final = "write them as 2026-11-23, or leave them empty"

Campaigns = dict[str, pl.DataFrame]  # by the path in the settings


@dataclass(frozen=True)
class CampaignIds:
    """The day's external ids, by internal index: rows with others are left out with a warning."""

    users: pl.Series
    items: pl.Series

    def of(self, key: str) -> pl.Series:
        """Return the ids of users or of items."""
        return self.users if key == USER_ID else self.items


def inspect_campaigns(
    paths: Collection[str], inputs: InputFolder, day: date, timezone: str, ids: CampaignIds
) -> tuple[Campaigns, list[Problem]]:
    """Return what runs on the day, by path, and all problems; a campaign with an error is left out.

    A campaign has distinct item_id, and user_id where the table has it, sorted. The ids have the types of the
    day's. A row without `from` has begun, one without `until` has no end; both days are included.

    Args:
        paths: of the settings, each a file, folder, glob or URI.
        timezone: of the days of instants.
    """
    campaigns, problems = Campaigns(), list[Problem]()
    for path in dict.fromkeys(paths):
        where = shown_path(path, inputs.path)
        try:
            rows, wrong = _read(path, inputs, timezone, where)
        except InputError as error:
            fix = error.fix.replace(_PATH, "the `campaign` of the rule")
            problems.append(Problem(error.where or where, error.what, fix))
            continue
        if not any(one.severity == "error" for one in wrong):
            campaign, unfit = _of_day(rows, day, ids, where)
            wrong += unfit
            if not any(one.severity == "error" for one in unfit):
                campaigns[path] = campaign
        problems += wrong
    return campaigns, problems


def campaign_files(paths: Collection[str], inputs: InputFolder) -> dict[str, list[Path]]:
    """Return the files of each campaign.

    Raises: InputError if there is none, or one cannot be read.
    """
    return {path: source_files(_table(path), inputs) for path in dict.fromkeys(paths)}


def campaigns_key(paths: Collection[str], inputs: InputFolder) -> str:
    """Return a hash of all that the campaigns hold; empty where there is none.

    Raises: InputError as `campaign_files`.
    """
    found = campaign_files(paths, inputs)
    try:
        contents = {path: [sha256_of(file) for file in files] for path, files in found.items()}
    except OSError as error:
        raise InputError(
            f"a campaign cannot be read: {error.strerror}", where=str(error.filename), fix="put it back"
        ) from error
    return sha256_of_json(contents) if contents else ""


def _table(path: str) -> TableSettings:
    return TableSettings(path=path, columns={name: name for name in _COLUMNS})


def _read(path: str, inputs: InputFolder, timezone: str, where: str) -> tuple[pl.DataFrame, list[Problem]]:
    """Return a table's ids and days, as far as its columns are right, and all problems of both.

    Raises: InputError for a table that cannot be read.
    """
    source = open_source(_table(path), inputs, timezone, is_used=lambda name: name in _COLUMNS)
    schema = source_schema(source.rows, source.files)
    problems = list(_schema_problems(schema, where))
    if problems:
        return pl.DataFrame(), problems
    keys = [name for name in (USER_ID, ITEM_ID) if name in schema]
    dates = [days(pl.col(name), schema[name], timezone).alias(name) for name in DATES if name in schema]
    rows = collect_source(source.rows.select(*keys, *dates), source.files)
    whole_file = len(source.files) == 1
    for key in keys:
        for problem in id_problems(rows, where, key, whole_file=whole_file):
            problems.append(replace(problem, fix=_FIX if rows[key].null_count() else problem.fix))
    return rows, [*problems, *_date_problems(source, rows, where)]


def _schema_problems(schema: pl.Schema, where: str) -> Iterator[Problem]:
    if ITEM_ID not in schema:
        problem = missing_column(where, ITEM_ID, ITEM_ID, schema.names())
        yield replace(problem, fix=f"deliver the campaign with a column {ITEM_ID}")
    for name in DATES:
        kind = schema.get(name, pl.Date())
        if not (kind in (pl.Date, pl.String, pl.Null) or isinstance(kind, pl.Datetime)):
            yield Problem(where, f"the column {name!r} holds {kind}, not days", _FIX_OF_DATES)


def _date_problems(source: OpenSource, rows: pl.DataFrame, where: str) -> Iterator[Problem]:
    """Yield that some days cannot be read, or end before they begin."""
    found = [name for name in DATES if name in rows.columns]
    given = collect_source(source.rows.select(pl.col(found).count()), source.files) if found else rows
    for name in found:
        unread = int(given[name].item()) - rows[name].count()
        if unread:
            yield Problem(where, f"{unread:,} of {len(rows):,} values of {name} are not days", _FIX_OF_DATES)
    ended = rows.filter(pl.col(UNTIL) < pl.col(FROM)) if len(found) == len(DATES) else rows.clear()
    if len(ended):
        what = f"{len(ended):,} of {len(rows):,} rows end before they begin: they never run"
        yield Problem(where, what, "put `from` before `until`", "warning")


def _of_day(
    rows: pl.DataFrame, day: date, ids: CampaignIds, where: str
) -> tuple[pl.DataFrame, list[Problem]]:
    """Return the distinct rows that run on the day and whose ids are known, and what is wrong with others."""
    keys, problems = [name for name in (USER_ID, ITEM_ID) if name in rows.columns], list[Problem]()
    for key in keys:
        id_type = ids.of(key).dtype
        rows, wrong = cast_ids(rows, key, "text" if id_type == pl.String else "integer", where)
        problems += [replace(one, fix=f"write the {key} as the other tables do") for one in wrong]
        rows = rows.cast({key: id_type})
    if any(one.severity == "error" for one in problems):
        return rows, problems
    known = rows.filter([pl.col(key).is_in(ids.of(key).implode()) for key in keys])
    if len(known) < len(rows):
        problems.append(_unknown_problem(rows, len(rows) - len(known), ids, where))
    running = [pl.col(FROM) <= day] if FROM in rows.columns else []
    running += [pl.col(UNTIL) >= day] if UNTIL in rows.columns else []
    if running:
        known = known.filter([one.fill_null(True) for one in running])
    if known.is_empty():
        what = f"no row of the campaign runs on {day}: the rules that pin it place nothing"
        problems.append(Problem(where, what, "correct the campaign's ids, `from` and `until`", "warning"))
    return known.select(keys).unique().sort(keys), problems


def _unknown_problem(rows: pl.DataFrame, dropped: int, ids: CampaignIds, where: str) -> Problem:
    unknown = [
        f"{rows[key].filter(~rows[key].is_in(ids.of(key).implode())).n_unique():,} {key}s"
        for key in (USER_ID, ITEM_ID)
        if key in rows.columns
    ]
    what = f"{dropped:,} of {len(rows):,} rows are left out: {' and '.join(unknown)} in them are unknown"
    return Problem(where, what, "write ids as in the interactions, users and items", "warning")
