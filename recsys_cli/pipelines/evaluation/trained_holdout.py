"""A model trained before a day and bound to the users of its holdout, ready for any evaluation."""

from dataclasses import dataclass

import polars as pl

from recsys_cli.data_preparation.features.day_features import build_features
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.evaluation.daily_evaluation import EvaluationOptions
from recsys_cli.models.training.two_stage_training import train_two_stage
from recsys_cli.models.two_stage import BoundDay, TwoStageModel, open_day
from recsys_cli.pipelines.training.context import temporary_context
from recsys_cli.pipelines.workspace.layout import Workspace
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.utils.columns import ITEM, USER
from recsys_cli.utils.progress import Progress


@dataclass(frozen=True)
class TrainedHoldout:
    """A model that has seen nothing from the day of the tables on, and whom it is evaluated for.

    Attributes:
        tables: everything before the day.
        features: of the users of the ground truth; day: the model bound to them, nothing behind the ranker.
        ground_truth: distinct user, item of the window, by the indices of `features`.
        k: length of the lists, in items.
    """

    tables: Tables
    model: TwoStageModel
    features: FeatureTables
    day: BoundDay
    ground_truth: pl.DataFrame
    k: int


def train_holdout(
    tables: Tables, ground_truth: pl.DataFrame, k: int, workspace: Workspace, run: Run
) -> TrainedHoldout:
    """Train both stages as `train` does, and bind them to the users of the ground truth; nothing is stored.

    Args:
        ground_truth: distinct user, item, by the indices of the tables.

    Raises: InputError when the history is too short; ModelError when there is nothing to learn from.
    """
    with temporary_context(workspace, run) as context:
        model = train_two_stage(tables, context).model
    users = ground_truth[USER].unique().sort()
    numbered = pl.DataFrame({USER: users}).with_row_index("number")
    relevant = ground_truth.join(numbered, on=USER, maintain_order="left")
    relevant = relevant.select(pl.col("number").alias(USER), ITEM, "^gain$")
    with run.stages.stage("features"):
        features = build_features(tables, workspace.settings.features, tables.of_users(users.to_numpy()))
    with run.stages.stage("open candidate models"):
        day = open_day(model.stage, features, workspace.threads)
    return TrainedHoldout(tables, model, features, day, relevant, k)


def evaluation_options(
    trained: TrainedHoldout, workspace: Workspace, progress: Progress
) -> EvaluationOptions:
    """Return how the settings rank and measure."""
    scoring, k = workspace.settings.scoring, trained.k
    shortlist = scoring.shortlist_of(k)
    return EvaluationOptions(k, shortlist, scoring.chunk_users, workspace.threads, progress)
