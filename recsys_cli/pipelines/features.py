"""`features`: the feature store's partition of a day."""

from recsys_cli.pipelines.workspace.feature_store import Partition, ReadInputs, open_features
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.stage_timer import StageTimer
from recsys_cli.utils.storage.locks import locked


def write_features(day: ScoringDay, stages: StageTimer, read: ReadInputs | None = None) -> Partition:
    """Write the partition of `day`, unless it is there for the same inputs, and return it.

    Args:
        read: inputs that were read before; None: they are read here.

    Raises: LockedError where another run has the day; InputError and OutputError as `open_features` does.
    """
    with locked(day.lock, f"the features of {day}"), stages.stage("features"):
        return open_features(day, read=read)
