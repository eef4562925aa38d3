"""The judgement of lists: segments, the blend and the stage budget, by hand."""

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
import pytest
from catboost import CatBoost, Pool
from scipy import sparse

from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.models.candidates.protocol import Pairs, UserChunk
from recsys_cli.models.evaluation.daily_evaluation import (
    BLEND,
    TWO_STAGES,
    Budget,
    EvaluationOptions,
    EvaluationResult,
    evaluate_day,
    measures_of,
)
from recsys_cli.models.reranking.calibration import Calibration
from recsys_cli.models.reranking.feature_join import RankerTables
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.reranking.tree_ensemble import as_json, read_forests
from recsys_cli.models.two_stage import BoundDay
from recsys_cli.pipelines.evaluation.summary import evaluation_summary

WARM, BUSY, COLD = 0, 1, 2
ITEMS = 6
TITLES = ["red lamp", "red chair", "blue lamp", "blue chair", "pine", "oak"]


@dataclass(frozen=True)
class Written:
    """A source whose lists are written down: by user, the best item first."""

    name: str
    lists: tuple[tuple[int, ...], ...]
    floor_is_last: bool = False

    def score(self, chunk: UserChunk) -> "Written.Scores":
        longest = max(map(len, self.lists))
        padded = [[*self.lists[user], *[-1] * longest][:longest] for user in chunk.users]
        return Written.Scores(np.array(padded, dtype=np.int32))

    @dataclass(frozen=True)
    class Scores:
        lists: np.ndarray

        def of_pairs(self, pairs: Pairs) -> np.ndarray:
            """1 / rank, and 0 where the source does not propose the item."""
            at = self.lists[pairs.rows] == pairs.items[:, None]
            return np.asarray(at @ (1 / np.arange(1, at.shape[1] + 1)), dtype=np.float32)


@pytest.fixture(scope="module")
def by_left() -> Ranker:
    """A ranker that follows the source "left" alone."""
    scores = pl.DataFrame({"left_score": pl.Series(np.linspace(0, 1, 64), dtype=pl.Float32)})
    model = CatBoost({"iterations": 60, "depth": 4, "learning_rate": 0.3, "logging_level": "Silent"})
    model.set_params(allow_writing_files=False, random_seed=0)
    model.fit(Pool(scores, label=scores["left_score"].to_numpy()))
    return Ranker(read_forests(as_json(model)), lambda: model, ("left_score",), (), Calibration(), "raw")


def features() -> FeatureTables:
    users = pl.DataFrame({"user_id": ["warm", "busy", "cold"], "user_items": [1.0, 7.0, 0.0]})
    items = pl.DataFrame({"item_id": range(ITEMS), "title": TITLES, "eligible": [True] * ITEMS})
    pairs = pl.DataFrame({"user": [WARM, BUSY], "item": [4, 5]}).cast(pl.UInt32)
    empty = pl.DataFrame()
    return FeatureTables(date(2026, 3, 31), (), (), users, items, pairs, empty)


@pytest.fixture(scope="module")
def result(by_left: Ranker) -> EvaluationResult:
    left = Written("left", ((0, 1, 2), (3, 2), (0,)))
    right = Written("popular_7d", ((2, 3), (2, 0), (1, 5)))
    sides = (pl.DataFrame({name: pl.Series(range(9), dtype=pl.UInt32)}) for name in ("user", "item"))
    tables = RankerTables(*sides, None, {}, ())
    day = BoundDay((left, right), tables, sparse.csr_matrix((3, ITEMS), dtype=np.float32), True)
    truth = pl.DataFrame({"user": [WARM, WARM, WARM, BUSY, BUSY, COLD], "item": [0, 2, 3, 2, 5, 1]}).cast(
        pl.UInt32
    )
    options = EvaluationOptions(k=2, shortlist=0, chunk_users=2, threads=1)
    return evaluate_day(day, features(), by_left, truth, options)


def test_the_stage_budget_counts_warm_users_pairs(result: EvaluationResult) -> None:
    # warm took 0, 2, 3: left proposes 0 and 2, the other 2 and 3; busy took 2, 5: both propose 2, nobody 5
    assert result.budget == Budget(
        relevant=5,
        proposed=4,
        listed=2,  # the ranker's lists are those of left: 0 1 and 3 2
        listable=3,  # two places of warm, one of busy
        by_source={"left": (3, 1), "popular_7d": (3, 1)},
    )


def test_each_contestant_is_measured_on_its_own_list(result: EvaluationResult) -> None:
    hits = {name: frame["Precision"].to_list() for name, frame in result.by_user.items()}
    assert hits["left"] == [0.5, 0.5, 0.0]  # 0 1, 3 2, 0
    assert hits["popular_7d"] == [1.0, 0.5, 0.5]  # 2 3, 2 0, 1 5
    assert hits[TWO_STAGES] == hits["left"][:2] + [0.5]  # behind 0 comes 1, the lower index of two equals
    assert hits[BLEND] == [1.0, 0.5, 0.5]  # 2 is in both of warm's: first; 0 next, at place 1 of left
    assert measures_of(result.by_user["left"])["Precision"] == pytest.approx(1 / 3)


def test_users_fall_into_segments_by_what_they_had(result: EvaluationResult) -> None:
    assert result.by_user[TWO_STAGES]["segment"].to_list() == ["1 to 4 items", "5 to 19 items", "cold"]


def test_variety_is_that_of_the_lists(result: EvaluationResult) -> None:
    left = result.variety["left"]  # 0 1, 3 2, 0
    assert left["CatalogCoverage"] == pytest.approx(4 / 6)
    # "red lamp, red chair" and "blue chair, blue lamp" share one of two words of equal weight
    assert left["IntraListDiversity"] == pytest.approx(0.5)
    assert left["MeanInvUserFreq"] == pytest.approx(1.0)  # nobody has had them: as one of two users


def test_the_summary_pools_users_of_all_days_and_keeps_the_cold_apart(result: EvaluationResult) -> None:
    summary = evaluation_summary([result, result], k=2)
    assert (summary.users, summary.cold_users) == (4, 2)
    assert summary.models["left"]["Precision@2"] == pytest.approx(0.5)
    assert summary.segments["cold"].users == 2
    assert summary.budget.as_json() == {
        "relevant_pairs": 10,
        "candidate_recall": 4 / 5,
        "ranker_share": 2 / 3,
        "by_source": {
            "left": {"recall": 3 / 5, "alone": 1 / 5},
            "popular_7d": {"recall": 3 / 5, "alone": 1 / 5},
        },
    }
    ndcg = {name: frame["NDCG"].head(2).mean() for name, frame in result.by_user.items()}
    compared = summary.against_popularity
    assert compared is not None and compared.against == "popular_7d" and compared.metric == "NDCG@2"
    assert compared.difference == pytest.approx(ndcg[TWO_STAGES] - ndcg["popular_7d"])
    assert compared.low <= compared.difference <= compared.high
