"""The report of a search: the winner against today's settings, on days that no trial has seen."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from recsys_cli.configs.dotted_keys import with_values
from recsys_cli.models.evaluation.daily_evaluation import TWO_STAGES, EvaluationResult
from recsys_cli.models.evaluation.metrics import MAP, NDCG
from recsys_cli.pipelines.evaluate import sit_exam
from recsys_cli.pipelines.evaluation.summary import Comparison, compare_two_stages, verdict_facts
from recsys_cli.pipelines.tune import TuningPlan, Winner
from recsys_cli.utils.progress import Progress, silent


@dataclass(frozen=True)
class TuneReport:
    """A search and its judgement.

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

    def as_json(self) -> dict[str, Any]:
        """Return the report as a JSON object."""
        request, standing, settings = self.plan.request, self.winner.standing, self.plan.workspace.settings
        return {
            "schema_version": 1,
            "date": str(request.day),
            "k": settings.evaluation.k,
            "folder": str(self.plan.folder),
            "settings_file": str(self.winner.file),
            "trials": {"earlier": standing.earlier, "now": standing.done, "failed": standing.failed},
            "search": {
                "events_before": str(self.plan.known[0].day),
                "today": standing.today,
                "winner": standing.best,
                "winner_trial": self.winner.trial,
            },
            "changes": [
                {"key": key, "today": today, "winner": new}
                for key, (today, new) in self.winner.changes().items()
            ],
            "untouched": {
                "first_days": [str(exam.request.day) for exam in self.plan.exams],
                "days": settings.ranker.label_days,
                "users": self.users,
                "today": self.today,
                "winner": self.winner_measures,
                "comparisons": [asdict(one) for one in self.comparisons],
                "better": self.better,
            },
        }


def judge_winner(plan: TuningPlan, winner: Winner, progress: Progress = silent) -> TuneReport:
    """Train with today's settings and with the winner's as of the untouched windows, and compare their lists.

    Raises: InputError, ModelError as `sit_exam` does.
    """
    k, changed = plan.workspace.settings.evaluation.k, bool(winner.changes())
    contestants = [winner.today, winner.values] if changed else [winner.today]
    sittings = len(contestants) * len(plan.exams)
    verdicts: list[list[EvaluationResult]] = []
    for values in contestants:
        settings = with_values(plan.workspace.settings, values)
        workspace = replace(plan.workspace, settings=settings)
        verdicts.append([])
        for exam in plan.exams:
            progress(sum(map(len, verdicts)), sittings)
            verdicts[-1].append(sit_exam(exam, workspace, plan.run))
    progress(sittings, sittings)
    facts = [verdict_facts(one, k) for one in verdicts]
    measures = [one["models"][TWO_STAGES] for one in facts]
    comparisons = (
        [compare_two_stages(verdicts[1], verdicts[0], metric, k) for metric in (NDCG, MAP)] if changed else []
    )
    return TuneReport(plan, winner, facts[0]["users"], measures[0], measures[-1], comparisons)
