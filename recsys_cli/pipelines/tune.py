"""`tune`: search settings of both stages, and compare the winner with today's on days that no trial saw."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from recsys_cli.configs.dotted_keys import with_values
from recsys_cli.models.evaluation.daily_evaluation import TWO_STAGES, EvaluationResult
from recsys_cli.models.evaluation.evaluation_summary import Comparison
from recsys_cli.models.evaluation.metrics import MAP, NDCG
from recsys_cli.pipelines.evaluate import evaluate_holdout
from recsys_cli.pipelines.evaluation.summary import compare_two_stages, evaluation_summary
from recsys_cli.pipelines.tuning.search import TuningPlan, Winner
from recsys_cli.utils.progress import Progress, no_progress


@dataclass(frozen=True)
class TuneReport:
    """A search, and its winner's evaluation.

    Attributes:
        users: warm users of the untouched windows.
        today, winner_measures: measures of the two stages there.
        comparisons: the winner against today's settings; none where they are the same.
    """

    plan: TuningPlan
    winner: Winner
    users: int
    today: dict[str, float]
    winner_measures: dict[str, float]
    comparisons: Sequence[Comparison]

    @property
    def better(self) -> str:
        """Which settings did better on the untouched windows: "winner", "today", or "neither" for certain."""
        for one in self.comparisons[:1]:
            if one.low > 0:
                return "winner"
            if one.high < 0:
                return "today"
        return "neither"

    def as_json(self) -> dict[str, object]:
        """Return the report as a JSON object."""
        request, trials, settings = self.plan.request, self.winner.progress, self.plan.workspace.settings
        return {
            "schema_version": 1,
            "date": str(request.day),
            "k": settings.evaluation.k,
            "folder": str(self.plan.folder),
            "settings_file": str(self.winner.file),
            "trials": {"earlier": trials.earlier, "now": trials.done, "failed": trials.failed},
            "search": {
                "events_before": str(self.plan.known[0].day),
                "today": trials.today,
                "winner": trials.best,
                "winner_trial": self.winner.trial,
            },
            "changes": [
                {"key": key, "today": today, "winner": new}
                for key, (today, new) in self.winner.changes().items()
            ],
            "untouched": {
                "first_days": [str(holdout.request.day) for holdout in self.plan.holdouts],
                "days": settings.ranker.label_days,
                "users": self.users,
                "today": self.today,
                "winner": self.winner_measures,
                "comparisons": [one.as_json() for one in self.comparisons],
                "better": self.better,
            },
        }


def evaluate_winner(plan: TuningPlan, winner: Winner, progress: Progress = no_progress) -> TuneReport:
    """Train with today's settings and with the winner's as of the untouched windows, and compare their lists.

    Raises: InputError, ModelError as `evaluate_holdout` does.
    """
    k, changed = plan.workspace.settings.evaluation.k, bool(winner.changes())
    contestants = [winner.today, winner.values] if changed else [winner.today]
    trainings = len(contestants) * len(plan.holdouts)
    results: list[list[EvaluationResult]] = []
    for values in contestants:
        settings = with_values(plan.workspace.settings, values)
        workspace = replace(plan.workspace, settings=settings)
        results.append([])
        for holdout in plan.holdouts:
            progress(sum(map(len, results)), trainings)
            results[-1].append(evaluate_holdout(holdout, workspace, plan.run))
    progress(trainings, trainings)
    summaries = [evaluation_summary(one, k) for one in results]
    measures = [one.models[TWO_STAGES] for one in summaries]
    comparisons = (
        [compare_two_stages(results[1], results[0], metric, k) for metric in (NDCG, MAP)] if changed else []
    )
    return TuneReport(plan, winner, summaries[0].users, measures[0], measures[-1], comparisons)
