"""`score`: candidates → seen filter → features → ranker → top k for every user, published as one file."""

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from loguru import logger

from recsys_cli.data_preparation.ids import close_ids
from recsys_cli.data_preparation.problems import settle
from recsys_cli.models.bundle import Bundle
from recsys_cli.pipelines.carrying import Carried, changed_users, earlier_lists
from recsys_cli.pipelines.disk_space import check_room
from recsys_cli.pipelines.feature_store import Partition, check_unchanged
from recsys_cli.pipelines.gates import Waiting, pass_gates
from recsys_cli.pipelines.parts import Part, ranked_parts
from recsys_cli.pipelines.preflight import all_problems
from recsys_cli.pipelines.publication import RecommendationsWriter, check_file, publish, published_manifest
from recsys_cli.pipelines.ranking import Limits, Ranking, open_ranking, within_memory
from recsys_cli.pipelines.run_record import Run
from recsys_cli.pipelines.score_counts import ScoreCounts
from recsys_cli.pipelines.serving import kept_settings_problems, open_bundle, open_fitting_features
from recsys_cli.pipelines.unfinished import Unfinished, open_unfinished, remove_forgotten
from recsys_cli.pipelines.workspace import RECOMMENDATIONS, Workspace
from recsys_cli.utils.columns import ELIGIBLE, ITEM_ID, USER
from recsys_cli.utils.errors import OutputError, UnknownUserError
from recsys_cli.utils.files import check_writable, sha256_of_json
from recsys_cli.utils.locks import locked
from recsys_cli.utils.progress import Progress, silent


@dataclass(frozen=True)
class ScoreRequest:
    """What is asked of a scoring run.

    Attributes:
        user_ids: None: everybody.
        lock_wait: seconds to wait for another run of the day.
        cluster: address of the Ray cluster that ranks; None: this process does.
        changed_since: earlier day whose lists are kept by all to whom nothing happened; None: by nobody.
    """

    day: date
    top_k: int
    user_ids: Sequence[str] | None = None
    force: bool = False
    lock_wait: int = 0
    cluster: str | None = None
    changed_since: date | None = None


@dataclass(frozen=True)
class ScoreReport:
    """A published, or already complete, scoring run."""

    day: date
    path: Path
    manifest: dict[str, Any]
    already_complete: bool


@dataclass(frozen=True)
class Job:
    """What a scoring run works with, once its model and features are open.

    Attributes:
        carried: lists of an earlier day that are kept; None: all users are ranked.
    """

    workspace: Workspace
    request: ScoreRequest
    run: Run
    bundle: Bundle
    partition: Partition
    carried: Carried | None = None

    @property
    def work(self) -> dict[str, str]:
        """All that decides the bytes of the file, by name."""
        request, settings = self.request, self.workspace.settings
        asked = sorted(request.user_ids) if request.user_ids is not None else None
        return {
            "date": str(request.day),
            "model": self.bundle.version,
            "features": self.partition.content_hash,
            "top_k": str(request.top_k),
            "users": sha256_of_json(asked),
            "candidates.index": settings.candidates.index,
            "scoring.shortlist": str(settings.scoring.shortlist_of(request.top_k)),
            **({} if self.carried is None else {"carried": sha256_of_json(self.carried.facts())}),
        }

    @property
    def key(self) -> str:
        """A hash of all that decides the bytes of the file."""
        return sha256_of_json(self.work)

    def users(self) -> np.ndarray:
        """Return the internal indices of the users that are asked for, ascending."""
        return _places(self.partition.features.user_ids, self.request)

    def open(self) -> Ranking:
        """Bind the model to the items of the day."""
        workspace, features = self.workspace, self.partition.features
        with self.run.stages.stage("open items"):
            limits = Limits.of(workspace.settings, self.request.top_k)
            ranking = open_ranking(self.bundle.model, features, limits, workspace.threads)
        most = workspace.settings.runtime.max_memory_bytes
        return ranking if most is None else within_memory(ranking, most)

    def parts(self, ranking: Ranking, users: np.ndarray, progress: Progress) -> Iterator[Part]:
        """Yield the lists of users a part at a time, in order: ranked, or carried over."""
        if self.carried is None or users.size == 0:
            return self.ranked(ranking, users, progress)
        changed = self.carried.changed[self.carried.changed >= users[0]]
        return self.carried.merged(self.ranked(ranking, changed, progress), int(users[0]))

    def ranked(self, ranking: Ranking, users: np.ndarray, progress: Progress) -> Iterator[Part]:
        """Rank users, here or on a cluster, and yield their lists a part at a time, in order."""
        settings, stages, cluster = self.workspace.settings.candidates, self.run.stages, self.request.cluster
        if cluster is None:
            return ranked_parts(ranking, users, settings, stages, progress)
        from recsys_cli.pipelines.ray_engine import cluster_parts

        model = self.workspace.models.open(self.bundle.version)
        return cluster_parts(self.key, model, ranking, users, settings, cluster, stages, progress)

    def writer(self, staged: Path) -> RecommendationsWriter:
        """Return what writes the lists."""
        features = self.partition.features
        return RecommendationsWriter(staged, features.user_ids, features.items[ITEM_ID], _metadata(self))


def open_job(workspace: Workspace, request: ScoreRequest, run: Run) -> Job:
    """Open the model and the features that fit it.

    Raises: ModelError, InputError, OutputError.
    """
    with run.stages.stage("load model"):
        bundle = open_bundle(workspace, request.day)
        settle(kept_settings_problems(workspace, bundle))
    with run.stages.stage("features"):
        partition = open_fitting_features(
            workspace, bundle, request.day, lambda found: _places(found.user_ids, request)
        )
    return Job(workspace, request, run, bundle, partition)


def score_users(
    workspace: Workspace, request: ScoreRequest, run: Run, progress: Progress = silent
) -> ScoreReport:
    """Recommend items to the users and publish the file of the day, whole or not at all.

    Raises: ModelError, InputError, OutputError, LockedError; the old file then stays as it was.
    """
    day, published = request.day, workspace.published
    with all_problems(workspace, day):
        folder = workspace.recommendations(day)
        check_writable(folder)
        published.check_reachable()
    with locked(workspace.lock(f"date={day}"), f"the recommendations of {day}", request.lock_wait):
        with all_problems(workspace, day):
            job = open_job(workspace, request, run)
        before = published_manifest(folder)
        if before is not None and _is_complete(job, before):
            return _complete(job, before)
        _refuse_to_replace_all_by_some(job, before)
        check_room(workspace.staged(day), job.partition.features, job.users(), request.top_k)
        ranking = job.open()
        job, since = _with_carried(job, ranking)
        if before is not None and _is_complete(job, before):
            return _complete(job, before)
        manifest = _rank_and_publish(job, ranking, since, progress)
        remove_forgotten(workspace, day)
    return ScoreReport(day, folder / RECOMMENDATIONS, manifest, already_complete=False)


def _rank_and_publish(
    job: Job, ranking: Ranking, since: dict[str, Any], progress: Progress
) -> dict[str, Any]:
    """Write the lists, hold them against the gates, and publish them; return the manifest.

    Args:
        since: what the manifest tells of lists that were kept.
    """
    workspace, run, day = job.workspace, job.run, job.request.day
    with open_unfinished(workspace.staged(day), job.work) as unfinished:
        facts = _facts(job, _score_parts(job, ranking, unfinished, progress))
        check_unchanged(workspace, job.partition)
        with run.stages.stage("gates"):
            check_file(unfinished.staged, facts)
            waiting = Waiting(day, unfinished.staged, facts, ranking, job.users())
            gates = pass_gates(waiting, workspace, run.folder / "rejected.parquet")
        with run.stages.stage("publish"):
            told = {**_run_facts(run), **since, "gates": gates}
            return publish(unfinished.staged, workspace.published, facts, told)


def _is_complete(job: Job, manifest: dict[str, Any]) -> bool:
    """Tell whether the lists that are published are those that the job would write."""
    return bool(manifest["key"] == job.key) and not job.request.force


def _complete(job: Job, manifest: dict[str, Any]) -> ScoreReport:
    workspace, day = job.workspace, job.request.day
    logger.info("the recommendations of {} are complete", day)
    shutil.rmtree(workspace.staged(day), ignore_errors=True)
    return ScoreReport(day, workspace.recommendations(day) / RECOMMENDATIONS, manifest, already_complete=True)


def _with_carried(job: Job, ranking: Ranking) -> tuple[Job, dict[str, Any]]:
    """Return the job with the lists that may be carried over, and what the manifest tells of it.

    They may where a sample of them differs little from what a full run gives now.
    """
    since, settings = job.request.changed_since, job.workspace.settings
    if since is None:
        return job, {}
    with job.run.stages.stage("what changed"):
        lists = earlier_lists(job.workspace, since, _asked(job))
        if isinstance(lists, str):
            return _ranked_anew(job, since, lists)
        carried = Carried(lists, ranking.features, changed_users(ranking.features, lists))
        users = carried.sample()
        sampled = carried.compared(job.ranked(ranking, users, silent), users)
    told = {"date": str(since), "changed": len(carried.changed), "sample": asdict(sampled)}
    most = settings.scoring.max_stale_lists
    if sampled.differing > most:
        why = (
            f"{sampled.differing:.1%} of {sampled.users:,} carried lists differ from a full run's, more than "
            f"scoring.max_stale_lists = {most}"
        )
        return _ranked_anew(job, since, why, **told)
    return replace(job, carried=carried), {"changed_since": {**told, "all_ranked_because": None}}


def _ranked_anew(job: Job, since: date, why: str, **told: Any) -> tuple[Job, dict[str, Any]]:
    logger.warning("all users are ranked: {}", why)
    return job, {"changed_since": {"date": str(since), **told, "all_ranked_because": why}}


def _score_parts(job: Job, ranking: Ranking, unfinished: Unfinished, progress: Progress) -> ScoreCounts:
    """Write the lists of all users, those first that a killed run has finished."""
    stages, users = job.run.stages, job.users()
    counts = ScoreCounts(job.request.top_k)
    with job.writer(unfinished.staged) as writer:
        for part in unfinished.finished():
            writer.write(part.top)
            counts.add(part)
        if unfinished.users:
            logger.info("going on behind {} users whose lists an earlier run had ranked", unfinished.users)
        rest = users[unfinished.users :]
        for part in job.parts(ranking, rest, progress):
            with stages.stage("write"):
                unfinished.add(part)
                writer.write(part.top)
                counts.add(part)
        writer.describe(_facts(job, counts))
    if counts.empty_lists:
        logger.warning(
            "{} of {} users have no list: no source that is on proposes them an item that is new to them{}",
            counts.empty_lists,
            counts.users,
            "" if job.bundle.model.stage.settings.popular.num_candidates else "; popular ones would",
        )
    return counts


def _refuse_to_replace_all_by_some(job: Job, before: dict[str, Any] | None) -> None:
    request = job.request
    if request.user_ids is not None and before is not None and before["all_users"] and not request.force:
        raise OutputError(
            f"the lists of all users are published for {request.day}; those of some would replace them",
            where=str(job.workspace.recommendations(request.day)),
            fix="look at one user with `recsys explain USER_ID`, or give --force to replace the file",
        )


def _places(ids: pl.Series, request: ScoreRequest) -> np.ndarray:
    """Return the internal indices of the users that are asked for, ascending.

    Raises: UnknownUserError with close matches.
    """
    if request.user_ids is None:
        return np.arange(len(ids), dtype=np.uint32)
    asked = pl.Series("asked", sorted(set(request.user_ids)), dtype=pl.String)
    places = pl.DataFrame({"asked": ids.cast(pl.String)}).with_row_index(USER)
    found = asked.to_frame().join(places, on="asked", how="left")
    unknown = found.filter(pl.col(USER).is_null())["asked"].to_list()
    if unknown:
        close = close_ids(ids, unknown[0])
        raise UnknownUserError(
            f"{len(unknown):,} of {len(asked):,} users are unknown before {request.day}: "
            f"{', '.join(unknown[:5])}",
            where="--users",
            fix=f"give ids of the users table or of the events; close ids: {', '.join(close)}",
        )
    return found[USER].sort().to_numpy()


def _metadata(job: Job) -> dict[str, str]:
    return {
        "recsys.date": str(job.request.day),
        "recsys.model_version": job.bundle.version,
        "recsys.features_content_hash": job.partition.content_hash,
        "recsys.key": job.key,
    }


def _run_facts(run: Run) -> dict[str, Any]:
    """Return what tells two runs of the same work apart."""
    return {"run_id": run.run_id, "started": run.started.isoformat(timespec="seconds")}


def _facts(job: Job, counts: ScoreCounts) -> dict[str, Any]:
    """Return what the same work always gives."""
    features = job.partition.features
    ids = features.user_ids
    example = ids[counts.example or 0] if len(ids) else None
    return {
        "schema_version": 1,
        "date": str(job.request.day),
        "key": job.key,
        "features_content_hash": job.partition.content_hash,
        "example_user": example,
        **_asked(job),
        **({} if job.carried is None else {"carried": job.carried.facts()}),
        **counts.facts(int(features.items[ELIGIBLE].sum())),
    }


def _asked(job: Job) -> dict[str, Any]:
    """Return what the run was asked for, as its manifest has it."""
    settings, request = job.workspace.settings, job.request
    return {
        "model_version": job.bundle.version,
        "all_users": request.user_ids is None,
        "top_k": request.top_k,
        "index": settings.candidates.index,
        "shortlist": settings.scoring.shortlist_of(request.top_k),
    }
