"""`score`: candidates → seen filter → features → ranker → top k for every user, published as one file."""

import shutil
from dataclasses import asdict, dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from loguru import logger

from recsys_cli.models.candidates.registry import popularity_sources, sources_on
from recsys_cli.pipelines.publication.recommendations_file import check_file, publish, published_manifest
from recsys_cli.pipelines.scoring.checkpoint import Unfinished, open_unfinished, remove_forgotten
from recsys_cli.pipelines.scoring.disk_space import check_room
from recsys_cli.pipelines.scoring.incremental import Carried, changed_users, earlier_lists
from recsys_cli.pipelines.scoring.job import Job, ScoreRequest, open_job
from recsys_cli.pipelines.scoring.local_engine import Ranking
from recsys_cli.pipelines.scoring.preflight import all_problems
from recsys_cli.pipelines.scoring.publish_gates import Waiting, pass_gates
from recsys_cli.pipelines.scoring.statistics import ScoreCounts
from recsys_cli.pipelines.workspace.feature_store import check_unchanged
from recsys_cli.pipelines.workspace.layout import RECOMMENDATIONS, Workspace
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.utils.columns import ELIGIBLE
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.progress import Progress, silent
from recsys_cli.utils.storage.folders import check_writable
from recsys_cli.utils.storage.locks import locked


@dataclass(frozen=True)
class ScoreReport:
    """A published, or already complete, scoring run."""

    day: date
    path: Path
    manifest: dict[str, Any]
    already_complete: bool


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
        lists = earlier_lists(job.workspace, since, job.asked())
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
    stage = job.bundle.model.stage
    counts = ScoreCounts(job.request.top_k, popularity_sources(stage.settings))
    on = sources_on(stage.settings, filter_viewed=stage.filter_viewed)
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
            "" if any(one.is_popularity for one in on) else "; popular ones would",
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
        **job.asked(),
        **({} if job.carried is None else {"carried": job.carried.facts()}),
        **counts.facts(int(features.items[ELIGIBLE].sum())),
    }
