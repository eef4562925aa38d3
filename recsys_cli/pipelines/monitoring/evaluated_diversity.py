"""The newest evaluation of a workspace that measured lists by their diversity."""

from contextlib import suppress
from dataclasses import dataclass
from datetime import date

from recsys_cli.models.evaluation.list_summary import DiversityCurve
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_history import newest_records
from recsys_cli.pipelines.workspace.run_record import COMPLETE, RunRecord

_FIGURES = "diversity"


@dataclass(frozen=True)
class EvaluatedDiversity:
    """What `evaluate --diversity` found.

    Attributes:
        run_id: of the evaluation; day: the first day of its window.
    """

    run_id: str
    day: date
    curve: DiversityCurve

    @property
    def measures(self) -> dict[str, str]:
        """The measures that a report shows, by their headings."""
        k = self.curve.k
        return {
            f"NDCG@{k}": f"NDCG@{k}",
            "diversity in a list": f"IntraListDiversity@{k}",
            "coverage": f"CatalogCoverage@{k}",
            "share of the top item": f"TopItemShare@{k}",
        }

    def as_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        return {"run_id": self.run_id, "date": str(self.day), **self.curve.as_json()}


def newest_diversity(workspace: Workspace) -> EvaluatedDiversity | None:
    """Return the newest curve among the records of runs; None where there is none."""
    found = (_read(record) for record in newest_records(workspace))
    return next((one for one in found if one is not None), None)


def _read(record: RunRecord) -> EvaluatedDiversity | None:
    figures = (record.model_extra or {}).get(_FIGURES)
    if record.command != "evaluate" or record.status != COMPLETE or record.day is None or not figures:
        return None
    with suppress(ValueError):  # of another version, or damaged
        found = EvaluatedDiversity(record.run_id, record.day, DiversityCurve.read(figures))
        if _is_whole(found):
            return found
    return None


def _is_whole(found: EvaluatedDiversity) -> bool:
    needed = set(found.measures.values())
    return bool(found.curve.points) and all(needed <= set(one.measures) for one in found.curve.points)
