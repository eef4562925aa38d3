"""`features`: the feature store's partition of a day."""

from recsys_cli.pipelines.workspace.feature_store import Partition, ReadInputs, open_features
from recsys_cli.pipelines.workspace.input_check import InputCheck
from recsys_cli.pipelines.workspace.promoted_model import without_unused_deliveries
from recsys_cli.pipelines.workspace.run_record import Run
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.storage.locks import locked


def write_features(
    day: ScoringDay, run: Run, read: ReadInputs | None = None, *, accept_inputs: bool = False
) -> Partition:
    """Write the partition of `day`, unless it is there for the same inputs, and return it.

    Args:
        read: inputs that were read before; None: they are read here.
        accept_inputs: let inputs through whose figures miss their bounds.

    Raises: LockedError where another run has the day; InputError and OutputError as `open_features` does.
    """
    day = without_unused_deliveries(day)
    inputs = InputCheck(day, run, accept_inputs)
    with locked(day.lock, f"the features of {day}"), run.stages.stage("features"):
        return open_features(day, read=read, inputs=inputs)
