"""`diff`: what differs between two publications, and why, as far as their records show."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pyarrow as pa
from pydantic import JsonValue

from recsys_cli.pipelines.publication.comparison import OVERLAP, RBO, changes_between
from recsys_cli.pipelines.publication.lookup import RunSettings, published_file, run_settings, titles_on
from recsys_cli.pipelines.publication.manifest import FileFacts
from recsys_cli.pipelines.publication.recommendations_file import manifest_in
from recsys_cli.pipelines.publication.rule_changes import ChangedRule, changed_rules
from recsys_cli.pipelines.publication.validation import read_facts
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, USER_ID
from recsys_cli.utils.errors import InputError

_NO_CAUSES = ("gates.", "runtime.", "evaluation.")  # settings that change no list
_RULES = "rules"  # the setting, compared rule by rule
_NAMED = 10  # users and items
_MADE_WITH: Mapping[str, Callable[[FileFacts], object]] = {
    "date": lambda facts: str(facts.day),
    "all_users": lambda facts: facts.all_users,
    "model_version": lambda facts: facts.model_version,
    "features_content_hash": lambda facts: facts.features_content_hash,
    "index": lambda facts: facts.index,
    "shortlist": lambda facts: facts.shortlist,
    "top_k": lambda facts: facts.top_k,
    "rules": lambda facts: facts.lists.key if facts.lists else None,
}


@dataclass(frozen=True)
class ChangedItem:
    """An item, and how many lists of `a` and of `b` hold it."""

    item_id: int | str
    a: int
    b: int
    title: str | None


@dataclass(frozen=True)
class ChangedUser:
    """A user, and how much the two lists agree: share of the same items, rank-biased overlap."""

    user_id: int | str
    overlap: float
    rbo: float


@dataclass(frozen=True)
class Difference:
    """What differs between the lists of `a` and `b`.

    Attributes:
        overlap, rbo: mean and quantiles over the users who have a list in both.
        coverage: distinct items of each.
        won, lost: the items whose number of lists grew, and fell, most.
        most_changed: the users with the smallest rank-biased overlap.
        causes: by name, what the two were made with where that differs.
        settings: by dotted key, the two runs' values where they differ; rules: those that differ.
        without_settings: the files whose runs have no record: their settings are not compared.
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
    won: list[ChangedItem]
    lost: list[ChangedItem]
    most_changed: list[ChangedUser]
    causes: dict[str, list[object]]
    settings: dict[str, list[JsonValue]]
    rules: list[ChangedRule]
    without_settings: list[str]

    @property
    def is_empty(self) -> bool:
        """Whether every user has the same list in both."""
        return self.unchanged == self.users and not self.only_a and not self.only_b


def diff(workspace: Workspace, one: str, other: str) -> Difference:
    """Compare the publications that two dates, runs or paths name.

    Raises: UsageError where one of them names none; InputError for files that cannot be compared.
    """
    a, b = (published_file(workspace, named) for named in (one, other))
    facts = _facts(a), _facts(b)
    changes = changes_between(a, b, _NAMED)
    items = pl.DataFrame() if changes.items is None else changes.items
    settings = _settings(workspace, a), _settings(workspace, b)
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
        won=_changed_items(items.filter(gain > 0).sort(gain, ITEM_ID, descending=[True, False]), titles),
        lost=_changed_items(items.filter(gain < 0).sort(gain, ITEM_ID), titles),
        most_changed=_changed_users(changes.most_changed),
        causes=_causes(*facts),
        settings=_changed_settings(*settings),
        rules=_changed_rules(settings, facts),
        without_settings=[str(file) for file, found in zip((a, b), settings, strict=True) if not found],
    )


def _facts(file: Path) -> FileFacts | None:
    """Return the facts stored in a file; None if `recsys score` did not write it."""
    try:
        return read_facts(file)
    except (OSError, pa.ArrowException, ValueError) as error:
        raise InputError(
            f"it cannot be read: {error}", where=str(file), fix="name a file of recommendations"
        ) from None


def _causes(a: FileFacts | None, b: FileFacts | None) -> dict[str, list[object]]:
    """Return, by name, what two files were made with where that differs."""
    pairs = {
        name: [made_with(facts) if facts else None for facts in (a, b)]
        for name, made_with in _MADE_WITH.items()
    }
    differing = {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}
    return differing | _differing_files(_shown(a), _shown(b))


def _shown(facts: FileFacts | None) -> Mapping[str, str]:
    """Return the files that cooldowns looked at: their SHA-256 by date."""
    return facts.lists.shown if facts and facts.lists else {}


def _differing_files(a: Mapping[str, str], b: Mapping[str, str]) -> dict[str, list[object]]:
    """Return the files of which one list alone was made, as a cause; nothing where there are none."""
    if a == b:
        return {}
    return {"shown": [dict(sorted(one.items() - other.items())) for one, other in ((a, b), (b, a))]}


def _settings(workspace: Workspace, file: Path) -> RunSettings:
    """Return the settings that a file was made with; none if its run has no record."""
    if file.parent.parent.resolve() == workspace.runs.resolve():  # a rejected one
        return run_settings(workspace, file.parent.name)
    manifest = manifest_in(file.parent) if file.name == RECOMMENDATIONS else None
    return run_settings(workspace, None if manifest is None else manifest.run_id)


def _changed_settings(a: RunSettings, b: RunSettings) -> dict[str, list[JsonValue]]:
    if not a or not b:
        return {}
    keys = sorted(key for key in {*a, *b} - {_RULES} if not key.startswith(_NO_CAUSES))
    return {key: [a.get(key), b.get(key)] for key in keys if a.get(key) != b.get(key)}


def _changed_rules(
    settings: tuple[RunSettings, RunSettings], facts: tuple[FileFacts | None, FileFacts | None]
) -> list[ChangedRule]:
    if not all(settings):
        return []
    (a, b), (of_a, of_b) = settings, facts
    if of_a is None or of_b is None:
        return changed_rules(a.get(_RULES), b.get(_RULES))
    return changed_rules(a.get(_RULES), b.get(_RULES), of_a.day, of_b.day)


def _changed_items(items: pl.DataFrame, titles: Mapping[int | str, str | None]) -> list[ChangedItem]:
    return (
        [
            ChangedItem(item_id, a, b, titles.get(item_id))
            for item_id, a, b in items.head(_NAMED).select(ITEM_ID, "a", "b").iter_rows()
        ]
        if len(items)
        else []
    )


def _changed_users(users: pl.DataFrame | None) -> list[ChangedUser]:
    if users is None:
        return []
    return [ChangedUser(*row) for row in users.select(USER_ID, OVERLAP, RBO).iter_rows()]


def _titles(workspace: Workspace, facts: FileFacts | None) -> dict[int | str, str | None]:
    return {} if facts is None else titles_on(ScoringDay(workspace, facts.day))
