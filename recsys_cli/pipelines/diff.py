"""`diff`: what differs between two publications, and why as far as their records tell."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from recsys_cli.pipelines.publication.comparison import OVERLAP, RBO, changes_between
from recsys_cli.pipelines.publication.lookup import published_file, run_settings, titles_on
from recsys_cli.pipelines.publication.recommendations_file import published_manifest
from recsys_cli.pipelines.publication.validation import read_facts
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.utils.columns import ITEM_ID, TITLE
from recsys_cli.utils.dates import parse_day
from recsys_cli.utils.errors import InputError

_NO_CAUSES = ("gates.", "runtime.", "evaluation.")  # settings that change no list
_NAMED = 10  # users and items
_FACTS = ("date", "all_users", "model_version", "features_content_hash", "index", "shortlist", "top_k")


@dataclass(frozen=True)
class Difference:
    """What differs between the lists of `a` and `b`; every part is plain data, ready for JSON.

    Attributes:
        overlap, rbo: mean and quantiles over the users who have a list in both.
        coverage: distinct items of each.
        won, lost: the items whose number of lists grew, and fell, most: item_id, title, a, b.
        most_changed: the users with the smallest rank-biased overlap: user_id, overlap, rbo.
        causes: by name, what the two were made with where that differs.
        settings: by dotted key, the two runs' values where they differ.
        without_settings: the files of whose runs no record is there: their settings are not compared.
    """

    a: Path
    b: Path
    users: int
    only_a: int
    only_b: int
    unchanged: int
    overlap: dict[str, float | None]
    rbo: dict[str, float | None]
    coverage: dict[str, int]
    won: list[dict[str, Any]]
    lost: list[dict[str, Any]]
    most_changed: list[dict[str, Any]]
    causes: dict[str, list[Any]]
    settings: dict[str, list[Any]]
    without_settings: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether every user has the same list in both."""
        return self.unchanged == self.users and not self.only_a and not self.only_b


def diff(workspace: Workspace, one: str, other: str) -> Difference:
    """Compare the publications that two dates, runs or paths mean.

    Raises: UsageError where one of them means none; InputError for files that cannot be compared.
    """
    a, b = (published_file(workspace, what) for what in (one, other))
    facts = [_facts(file) for file in (a, b)]
    changes = changes_between(a, b, _NAMED)
    items = pl.DataFrame() if changes.items is None else changes.items
    settings = [_settings(workspace, file) for file in (a, b)]
    gain = pl.col("b") - pl.col("a")
    titles = _titles(workspace, facts[0]) | _titles(workspace, facts[1])
    return Difference(
        a=a,
        b=b,
        users=changes.users,
        only_a=changes.only_a,
        only_b=changes.only_b,
        unchanged=changes.unchanged,
        overlap={"mean": changes.mean(OVERLAP), **changes.quantiles(OVERLAP)},
        rbo={"mean": changes.mean(RBO), **changes.quantiles(RBO)},
        coverage={side: int((items[side] > 0).sum()) if len(items) else 0 for side in ("a", "b")},
        won=_named(items.filter(gain > 0).sort(gain, ITEM_ID, descending=[True, False]), titles),
        lost=_named(items.filter(gain < 0).sort(gain, ITEM_ID), titles),
        most_changed=[] if changes.most_changed is None else changes.most_changed.to_dicts(),
        causes={
            name: [told.get(name) for told in facts]
            for name in _FACTS
            if facts[0].get(name) != facts[1].get(name)
        },
        settings=_changed_settings(settings),
        without_settings=[str(file) for file, told in zip((a, b), settings, strict=True) if not told],
    )


def _facts(file: Path) -> Mapping[str, Any]:
    """Return what a file tells of itself; nothing where it was not written by `recsys score`."""
    try:
        return read_facts(file) or {}
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(
            f"it cannot be read: {error}", where=str(file), fix="name a file of recommendations"
        ) from None


def _settings(workspace: Workspace, file: Path) -> dict[str, Any]:
    """Return the settings that a file was made with; none where no record of its run is there."""
    if file.parent.parent.resolve() == workspace.runs.resolve():  # a rejected one
        return run_settings(workspace, {"run_id": file.parent.name})
    manifest = published_manifest(file.parent) if file.name == RECOMMENDATIONS else None
    return run_settings(workspace, manifest or {})


def _changed_settings(told: list[dict[str, Any]]) -> dict[str, list[Any]]:
    if not all(told):
        return {}
    keys = sorted(key for key in set(told[0]) | set(told[1]) if not key.startswith(_NO_CAUSES))
    return {key: [one.get(key) for one in told] for key in keys if told[0].get(key) != told[1].get(key)}


def _named(items: pl.DataFrame, titles: Mapping[Any, str | None]) -> list[dict[str, Any]]:
    return [{**row, TITLE: titles.get(row[ITEM_ID])} for row in items.head(_NAMED).to_dicts()]


def _titles(workspace: Workspace, facts: Mapping[str, Any]) -> dict[Any, str | None]:
    return titles_on(workspace, parse_day(str(facts["date"]))) if "date" in facts else {}
