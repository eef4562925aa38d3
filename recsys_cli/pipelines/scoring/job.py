"""What a scoring run works with: the request, the model, the features that fit it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import numpy as np
import polars as pl

from recsys_cli.data_preparation.features.eligibility import unlisted
from recsys_cli.data_preparation.tables.ids import close_ids, indices_of
from recsys_cli.data_preparation.tables.problems import raise_or_warn
from recsys_cli.models.versions.bundle import Bundle
from recsys_cli.pipelines.publication.list_request import DayRequest, read_day_request
from recsys_cli.pipelines.publication.manifest import FileFacts, ScoringTerms
from recsys_cli.pipelines.publication.recommendations_file import RecommendationsWriter
from recsys_cli.pipelines.scoring.batches import RankedBatch, ranked_batches
from recsys_cli.pipelines.scoring.incremental import ReusedLists
from recsys_cli.pipelines.scoring.local_engine import Limits, Ranking, open_ranking, within_memory
from recsys_cli.pipelines.scoring.rule_figures import rules_record
from recsys_cli.pipelines.scoring.statistics import ScoreCounts
from recsys_cli.pipelines.workspace.feature_store import Partition
from recsys_cli.pipelines.workspace.input_check import InputCheck
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import (
    lost_feature_problems,
    open_bundle,
    open_fitting_features,
    trained_settings_problems,
)
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ELIGIBLE, ITEM_ID
from recsys_cli.utils.errors import UnknownUserError
from recsys_cli.utils.progress import Progress
from recsys_cli.utils.storage.hashing import sha256_of_json


@dataclass(frozen=True)
class ScoreRequest:
    """What is asked of a scoring run.

    Attributes:
        user_ids: None: everybody.
        lock_wait: seconds to wait for another run of the day.
        cluster: address of the Ray cluster that ranks; None: this process does.
        changed_since: earlier day whose lists are reused for users whose inputs have not changed; None: all
            users are ranked.
        accept_inputs: let inputs through whose figures miss their bounds.
    """

    day: date
    top_k: int
    user_ids: Sequence[str] | None = None
    force: bool = False
    lock_wait: int = 0
    cluster: str | None = None
    changed_since: date | None = None
    accept_inputs: bool = False


@dataclass(frozen=True)
class Job:
    """What a scoring run works with, once its model and features are open.

    Attributes:
        reused: lists of an earlier day that are reused; None: all users are ranked.
        lists: what is asked of the lists behind the ranker; key: of all that decides it; empty: nothing is.
    """

    day: ScoringDay
    request: ScoreRequest
    run: Run
    bundle: Bundle
    partition: Partition
    lists: DayRequest
    reused: ReusedLists | None = None

    @property
    def workspace(self) -> Workspace:
        """The workspace of the day."""
        return self.day.workspace

    @property
    def work(self) -> dict[str, str]:
        """All that decides the bytes of the file, by name."""
        request, settings = self.request, self.workspace.settings
        asked = sorted(request.user_ids) if request.user_ids is not None else None
        reuse = {} if self.reused is None else {"carried": sha256_of_json(self.reused.facts().as_json())}
        return {
            "date": str(self.day),
            "model": self.bundle.version,
            "features": self.partition.content_hash,
            "top_k": str(request.top_k),
            "users": sha256_of_json(asked),
            # once its place: a new key would rank again what is published under this one
            "candidates.index": settings.scoring.index,
            "scoring.shortlist": str(settings.scoring.shortlist_of(request.top_k)),
            **reuse,
            **({"rules": self.lists.key} if self.lists.key else {}),
        }

    @property
    def key(self) -> str:
        """A hash of all that decides the bytes of the file."""
        return sha256_of_json(self.work)

    def terms(self) -> ScoringTerms:
        """Return how the lists were asked for, as their manifest has it."""
        settings, request = self.workspace.settings, self.request
        return ScoringTerms(
            model_version=self.bundle.version,
            all_users=request.user_ids is None,
            top_k=request.top_k,
            index=settings.scoring.index,
            shortlist=settings.scoring.shortlist_of(request.top_k),
        )

    def facts(self, counts: ScoreCounts) -> FileFacts:
        """Return the facts that are equal for every run of the same work."""
        features = self.partition.features
        ids, items = features.user_ids, features.items
        return FileFacts.read(
            {
                "schema_version": 1,
                "date": str(self.day),
                "key": self.key,
                "features_content_hash": self.partition.content_hash,
                "example_user": ids[counts.example or 0] if len(ids) else None,
                **self.terms().as_json(),
                **({} if self.reused is None else {"carried": self.reused.facts().as_json()}),
                **counts.figures(int(items[ELIGIBLE].sum()), int(unlisted(items).sum())).as_json(),
                **({} if self.lists.asked is None else {"lists": rules_record(self.lists, counts).as_json()}),
            }
        )

    def users(self) -> np.ndarray:
        """Return the internal indices of the users that are asked for, ascending."""
        return _indices(self.partition.features.user_ids, self.request)

    def open(self) -> Ranking:
        """Bind the model to the items of the day."""
        workspace, features = self.workspace, self.partition.features
        with self.run.stages.stage("open items"):
            limits = Limits.of(workspace.settings, self.request.top_k)
            asked = self.lists.asked
            ranking = open_ranking(self.bundle.model, features, limits, workspace.threads, asked)
        most = workspace.settings.runtime.max_memory_bytes
        return within_memory(ranking, most)

    def batches(self, ranking: Ranking, users: np.ndarray, progress: Progress) -> Iterator[RankedBatch]:
        """Yield the lists of users, ranked or reused, a batch at a time, in order."""
        if self.reused is None or users.size == 0:
            return self.ranked(ranking, users, progress)
        changed = self.reused.changed[self.reused.changed >= users[0]]
        return self.reused.merged(self.ranked(ranking, changed, progress), int(users[0]))

    def ranked(self, ranking: Ranking, users: np.ndarray, progress: Progress) -> Iterator[RankedBatch]:
        """Rank users, here or on a cluster, and yield their lists a batch at a time, in order."""
        settings, stages, cluster = self.workspace.settings.scoring, self.run.stages, self.request.cluster
        if cluster is None:
            return ranked_batches(ranking, users, settings, stages, progress)
        from recsys_cli.pipelines.scoring.ray_engine import ClusterJob, cluster_batches

        model = self.workspace.models.open(self.bundle.version)
        job = ClusterJob(self.key, model, ranking, settings, cluster)
        return cluster_batches(job, users, stages, progress)

    def writer(self, staged: Path) -> RecommendationsWriter:
        """Return a writer for the lists."""
        features = self.partition.features
        ids = features.user_ids, features.items[ITEM_ID]
        return RecommendationsWriter(staged, *ids, _metadata(self), self.lists.columns)


def open_job(day: ScoringDay, request: ScoreRequest, run: Run) -> Job:
    """Open the model and the features that fit it.

    Raises: ModelError, InputError, OutputError.
    """
    with run.stages.stage("load model"):
        bundle = open_bundle(day)
        raise_or_warn(trained_settings_problems(day.workspace, bundle))
    with run.stages.stage("features"):
        inputs = InputCheck(day, run, request.accept_inputs)
        partition = open_fitting_features(
            day, bundle, lambda found: _indices(found.user_ids, request), inputs=inputs
        )
        features = partition.features
        lost = lost_feature_problems(day.workspace, bundle, features.lazy("users"), features.items.lazy())
        raise_or_warn(lost)
        lists = read_day_request(day, partition, request.top_k, len(_indices(features.user_ids, request)))
    return Job(day, request, run, bundle, partition, lists)


def _indices(ids: pl.Series, request: ScoreRequest) -> np.ndarray:
    """Return the internal indices of the users that are asked for, ascending.

    Raises: UnknownUserError with close matches.
    """
    if request.user_ids is None:
        return np.arange(len(ids), dtype=np.uint32)
    asked = pl.Series(sorted(set(request.user_ids)), dtype=pl.String)
    indices = indices_of(asked, ids.cast(pl.String))
    unknown = asked.filter(indices.is_null()).to_list()
    if unknown:
        close = close_ids(ids, unknown[0])
        raise UnknownUserError(
            f"{len(unknown):,} of {len(asked):,} users are unknown before {request.day}: "
            f"{', '.join(unknown[:5])}",
            where="--users",
            fix=f"give ids of the users table or of the events; close ids: {', '.join(close)}",
        )
    return indices.sort().to_numpy()


def _metadata(job: Job) -> dict[str, str]:
    return {
        "recsys.date": str(job.day),
        "recsys.model_version": job.bundle.version,
        "recsys.features_content_hash": job.partition.content_hash,
        "recsys.key": job.key,
    }
