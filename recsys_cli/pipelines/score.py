"""`score`: candidates → features → ranker → top k for every user, published as one file.

With `scoring.filter_viewed`, each source leaves out the items that a user has viewed.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from loguru import logger

from recsys_cli.models.candidates.registry import popularity_sources
from recsys_cli.pipelines.publication.manifest import (
    PublicationManifest,
    ReuseDecision,
    ReuseSample,
    RunFacts,
)
from recsys_cli.pipelines.publication.recommendations_file import (
    RecommendationsWriter,
    check_file,
    publish,
    published_manifest,
)
from recsys_cli.pipelines.scoring.batches import RankedBatch
from recsys_cli.pipelines.scoring.checkpoint import BatchCheckpoint, open_checkpoint, remove_abandoned
from recsys_cli.pipelines.scoring.disk_space import check_room
from recsys_cli.pipelines.scoring.incremental import (
    EarlierLists,
    ReusedLists,
    changed_users,
    check_same_lists,
    earlier_lists,
)
from recsys_cli.pipelines.scoring.job import Job, ScoreRequest, open_job
from recsys_cli.pipelines.scoring.list_warnings import warn_of_lists
from recsys_cli.pipelines.scoring.local_engine import Ranking
from recsys_cli.pipelines.scoring.preflight import reraising_with_all_problems
from recsys_cli.pipelines.scoring.publish_gates import StagedLists, check_gates
from recsys_cli.pipelines.scoring.quota_lists import allocate_quotas, write_quota_tables
from recsys_cli.pipelines.scoring.reused_rules import ReusedRules, bound_on_both_days
from recsys_cli.pipelines.scoring.rule_figures import sampled_effects
from recsys_cli.pipelines.scoring.statistics import ScoreCounts
from recsys_cli.pipelines.workspace.feature_store import check_unchanged
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.promoted_model import without_unused_deliveries
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.errors import OutputError
from recsys_cli.utils.progress import Progress, no_progress
from recsys_cli.utils.storage.folder_checks import check_writable
from recsys_cli.utils.storage.folder_exchange import check_replaceable
from recsys_cli.utils.storage.locks import locked


@dataclass(frozen=True)
class ScoreReport:
    """A published, or already complete, scoring run.

    Attributes:
        published: where the file belongs, as a message shows it.
    """

    day: ScoringDay
    path: Path
    manifest: PublicationManifest
    already_complete: bool

    @property
    def published(self) -> str:
        """Where the file belongs, as a message shows it."""
        results = self.day.workspace.published
        return results.location_of(self.day.name) if results.store else str(self.path)

    def as_json(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        manifest = self.manifest.as_stored() if self.already_complete else self.manifest.as_json()
        return {
            **manifest,
            "path": str(self.path),
            "published": self.published,
            "already_complete": self.already_complete,
        }


def score_users(
    workspace: Workspace, request: ScoreRequest, run: Run, progress: Progress = no_progress
) -> ScoreReport:
    """Recommend items to the users and publish the file of the day, whole or not at all.

    Raises: ModelError, InputError, OutputError, LockedError; the old file then stays as it was.
    """
    day = without_unused_deliveries(ScoringDay(workspace, request.day))
    with reraising_with_all_problems(day):
        check_writable(day.recommendations)
        check_replaceable(day.recommendations)
        workspace.published.check_reachable()
    with locked(day.lock, f"the recommendations of {day}", request.lock_wait):
        with reraising_with_all_problems(day):
            job = open_job(day, request, run)
        before = published_manifest(day)
        if before is not None and _is_complete(job, before):
            return _complete(job, before)
        _refuse_to_replace_all_by_some(job, before)
        check_room(day.staged, job.partition.features, job.users(), request.top_k)
        ranking = job.open()
        job, reuse = _with_reused_lists(job, ranking)
        if before is not None and _is_complete(job, before):
            return _complete(job, before)
        manifest = _rank_and_publish(job, ranking, reuse, progress)
        remove_abandoned(day)
    return ScoreReport(day, day.file, manifest, already_complete=False)


def _rank_and_publish(
    job: Job, ranking: Ranking, reuse: ReuseDecision | None, progress: Progress
) -> PublicationManifest:
    """Write the lists, check them against the gates, and publish them; return the manifest."""
    run, day = job.run, job.day
    with open_checkpoint(day.staged, job.work) as checkpoint:
        facts = job.facts(_score_batches(job, ranking, checkpoint, progress))
        check_unchanged(day, job.partition)
        job.lists.check_unchanged()
        if job.reused is not None:
            check_same_lists(job.reused.lists)
        with run.stages.stage("gates"):
            check_file(checkpoint.staged, facts)
            trained_auc = job.bundle.manifest.own_item_auc
            lists = StagedLists(day, checkpoint.staged, facts, ranking, job.users(), trained_auc)
            gates = check_gates(lists, run.folder / "rejected.parquet")
        with run.stages.stage("publish"):
            return publish(checkpoint.staged, day.workspace.published, facts, _run_facts(job, reuse, gates))


def _is_complete(job: Job, manifest: PublicationManifest) -> bool:
    """Return whether the lists that are published are those that the job would write."""
    return manifest.key == job.key and not job.request.force


def _complete(job: Job, manifest: PublicationManifest) -> ScoreReport:
    logger.info("the recommendations of {} are complete", job.day)
    shutil.rmtree(job.day.staged, ignore_errors=True)
    return ScoreReport(job.day, job.day.file, manifest, already_complete=True)


def _with_reused_lists(job: Job, ranking: Ranking) -> tuple[Job, ReuseDecision | None]:
    """Return the job with the lists of an earlier day that it may reuse, and what was decided about them.

    It may if a sample of them differs little from the lists that a full run gives now.
    """
    if job.request.changed_since is None:
        return job, None
    since = ScoringDay(job.workspace, job.request.changed_since)
    with job.run.stages.stage("what changed"):
        lists = job.lists.differs_daily or earlier_lists(since, job.terms(), job.lists.rules_key)
        if isinstance(lists, str):
            logger.warning("all users are ranked: {}", lists)
            return job, ReuseDecision(day=since.date, all_ranked_because=lists)
        columns = job.lists.columns if job.lists.asked else None
        changed = changed_users(ranking.features, lists, _rules_of_both(ranking, lists))
        reused = ReusedLists(lists, ranking.features, changed, columns)
        users = reused.sample()
        sample = reused.compared(job.ranked(ranking, users, no_progress), users)
    reason = _too_different(sample, job.workspace.settings.scoring.max_stale_lists)
    decision = ReuseDecision(
        day=since.date, changed=len(reused.changed), sample=sample, all_ranked_because=reason
    )
    if reason is None:
        return replace(job, reused=reused), decision
    logger.warning("all users are ranked: {}", reason)
    return job, decision


def _rules_of_both(ranking: Ranking, lists: EarlierLists) -> ReusedRules | None:
    """Return the rules of the earlier day and of this one; None where there are none."""
    bound = ranking.items.lists
    if bound is None or not bound.settings.rules:
        return None
    return bound_on_both_days(bound.request, lists.day, lists.features, ranking.features, bound.rules)


def _too_different(sample: ReuseSample, most: float) -> str | None:
    """Return why lists with such a sample cannot be reused; None where they can."""
    if sample.differing <= most:
        return None
    return (
        f"{sample.differing:.1%} of {sample.users:,} reused lists differ from a full run's, more than "
        f"scoring.max_stale_lists = {most}"
    )


def _score_batches(
    job: Job, ranking: Ranking, checkpoint: BatchCheckpoint, progress: Progress
) -> ScoreCounts:
    """Write the lists of all users, first those that a killed run had finished."""
    stages, users = job.run.stages, job.users()
    popularity = popularity_sources(job.bundle.model.stage.settings)
    counts = ScoreCounts(job.request.top_k, popularity)
    if ranking.items.lists is not None and ranking.items.lists.settings.chooses:
        with stages.stage("cost of rules"):
            counts.effects = sampled_effects(ranking, users)
    has_quotas = ranking.items.lists is not None and bool(ranking.items.lists.rules.tables.quotas)
    with job.writer(checkpoint.staged) as writer:
        for batch in _ranked(job, ranking, checkpoint, progress):
            if not has_quotas:
                with stages.stage("write"):
                    writer.write(batch.top)
                    counts.add(batch)
        if has_quotas:
            _write_quota_lists(job, ranking, checkpoint, writer, counts)
        writer.describe(job.facts(counts))
    warn_of_lists(job, counts)
    return counts


def _ranked(
    job: Job, ranking: Ranking, checkpoint: BatchCheckpoint, progress: Progress
) -> Iterator[RankedBatch]:
    """Yield the batches of all users, first those that a killed run had finished; each new one is stored."""
    yield from checkpoint.finished()
    if checkpoint.users:
        logger.info("resuming after {} users whose lists an earlier run had ranked", checkpoint.users)
    for batch in job.batches(ranking, job.users()[checkpoint.users :], progress):
        with job.run.stages.stage("write"):
            checkpoint.add(batch)
        yield batch


def _write_quota_lists(
    job: Job,
    ranking: Ranking,
    checkpoint: BatchCheckpoint,
    writer: RecommendationsWriter,
    counts: ScoreCounts,
) -> None:
    """Allocate what is scarce over the ranked users, and write their lists."""
    with job.run.stages.stage("quotas"):
        lists = allocate_quotas(ranking, job.users(), checkpoint)
        counts.quotas, counts.files = lists.effect, write_quota_tables(lists, ranking)
    with job.run.stages.stage("write"):
        for batch in lists.batches():
            writer.write(batch.top)
            counts.add(batch)


def _refuse_to_replace_all_by_some(job: Job, before: PublicationManifest | None) -> None:
    request = job.request
    if request.user_ids is not None and before is not None and before.all_users and not request.force:
        raise OutputError(
            f"the lists of all users are published for {request.day}; those of some users would replace them",
            where=str(job.day.recommendations),
            fix="look at one user with `recsys explain USER_ID`, or give --force to replace the file",
        )


def _run_facts(job: Job, reuse: ReuseDecision | None, gates: dict[str, int | float]) -> RunFacts:
    """Return what differs between two runs of the same work, and how old what they worked with is."""
    return RunFacts(
        run_id=job.run.run_id,
        started=job.run.started.isoformat(timespec="seconds"),
        gates=gates,
        newest_event_age_days=job.partition.newest_event_age_days,
        model_age_days=(job.day.date - job.bundle.model.trained_through).days,
        **({} if reuse is None else {"changed_since": reuse}),
    )
