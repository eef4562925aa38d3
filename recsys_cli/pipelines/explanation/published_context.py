"""What `explain` looks at: model, features and settings of the published run, or today's if there is none."""

from dataclasses import dataclass

import polars as pl

from recsys_cli.data_preparation.features.feature_tables import DayFeatures
from recsys_cli.data_preparation.tables.ids import close_ids, index_of, indices_of
from recsys_cli.models.two_stage import schema_mismatches
from recsys_cli.models.versions.bundle import Bundle
from recsys_cli.pipelines.publication.list_request import DayRequest, read_day_request
from recsys_cli.pipelines.publication.manifest import PublicationManifest, RulesRecord
from recsys_cli.pipelines.publication.recommendations_file import published_manifest
from recsys_cli.pipelines.workspace.feature_store import Partition, stored_partition
from recsys_cli.pipelines.workspace.promoted_model import (
    open_bundle,
    open_fitting_features,
    without_unused_deliveries,
)
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM_ID, RANK, SCORE, SOURCES, USER_ID
from recsys_cli.utils.errors import UnknownUserError
from recsys_cli.utils.storage.locks import locked
from recsys_cli.utils.storage.table_files import scan_parquet_file


@dataclass(frozen=True)
class ExplainedDay:
    """A day as the published run saw it.

    Attributes:
        run: the manifest of the published run; None: nothing is published, and the day is as of now.
        index, top_k, shortlist: as in the settings of the run.
        user: internal index of the user who is explained.
        lists: what is asked of the lists behind the ranker, by the settings of now.
    """

    day: ScoringDay
    run: PublicationManifest | None
    bundle: Bundle
    partition: Partition
    index: str
    top_k: int
    shortlist: int
    user: int
    lists: DayRequest

    @property
    def causes(self) -> list[str]:
        """Why the list may differ from the published one."""
        if self.run is None:
            return []
        causes = []
        if self.run.features_content_hash != self.partition.content_hash:
            causes.append(
                "its features are gone: inputs or settings have changed since, and those of now are used"
            )
        causes += self._rule_causes(self.run.lists)
        if self.run.reuse is not None:
            causes.append(
                f"it may be the list of {self.run.reuse.day}: "
                "score --changed-since reused those of users whose inputs had not changed"
            )
        return causes

    def _rule_causes(self, before: RulesRecord | None) -> list[str]:
        """Return why what came behind the ranker is no longer the same."""
        if (before.key if before else "") != self.lists.rules_key:
            return ["the rules or campaigns have changed since, and those of now are used"]
        if before is not None and before.shown != dict(self.lists.shown):
            return ["lists that its cooldowns looked at are gone or others now"]
        return []


@dataclass(frozen=True)
class PublishedRow:
    """A row of a user's published list."""

    item_id: int | str
    rank: int
    score: float
    sources: str


def open_explained_day(day: ScoringDay, user_id: str) -> ExplainedDay:
    """Open what a user's list of the day came from.

    Raises: UnknownUserError with close matches; ModelError and InputError as `score` does; LockedError where
        features must be built and another run has the day.
    """
    run = published_manifest(day)
    bundle = open_bundle(day, run.model_version if run else None)
    partition = _published_features(day, run, bundle) if run else None
    if partition is None:
        day = without_unused_deliveries(day)
        lock = locked(day.lock, f"the features of {day}")
        partition = open_fitting_features(day, bundle, lambda found: _find(found, user_id, day), lock)
    settings = day.workspace.settings
    top_k = run.top_k if run else settings.scoring.top_k
    users = run.users if run else len(partition.features.user_ids)
    return ExplainedDay(
        day,
        run,
        bundle,
        partition,
        index=run.index if run else settings.scoring.index,
        top_k=top_k,
        shortlist=run.shortlist if run else settings.scoring.shortlist_of(settings.scoring.top_k),
        user=_find(partition.features, user_id, day),
        lists=read_day_request(day, partition, top_k, users),
    )


def published_list(day: ScoringDay, user_id: str | int) -> list[PublishedRow]:
    """Return a user's rows of the published file, the best first."""
    rows = scan_parquet_file(day.file)
    if isinstance(user_id, str) == rows.collect_schema()[USER_ID].is_integer():
        return []  # the ids have become others than they were
    own = rows.filter(pl.col(USER_ID) == user_id).select(ITEM_ID, RANK, SCORE, SOURCES)
    return [PublishedRow(*row) for row in own.collect().sort(RANK).iter_rows()]


def published_items(opened: ExplainedDay) -> list[int]:
    """Return the internal indices of the items of the user's published list, the best first."""
    features = opened.partition.features
    ids = [row.item_id for row in published_list(opened.day, features.user_ids[opened.user])]
    items = features.items[ITEM_ID]
    return indices_of(pl.Series(ids, dtype=items.dtype), items).to_list()


def _published_features(day: ScoringDay, run: PublicationManifest, bundle: Bundle) -> Partition | None:
    """Return the features that a run was made from; None: gone, or not those of its model."""
    partition, stage = stored_partition(day, run.features_content_hash), bundle.model.stage
    if partition is None:
        return None
    others = schema_mismatches(
        bundle.model, partition.features, filter_viewed=stage.filter_viewed, events=stage.events
    )
    return None if others else partition


def _find(features: DayFeatures, user_id: str, day: ScoringDay) -> int:
    index = index_of(features.user_ids, user_id)
    if index is not None:
        return index
    raise UnknownUserError(
        f"user {user_id!r} is unknown before {day}",
        where="recsys explain",
        fix=f"close ids: {', '.join(close_ids(features.user_ids, user_id))}",
    )
