"""The context that all steps of a training share."""

from dataclasses import dataclass

from recsys_cli.configs.sections import Settings
from recsys_cli.models.candidates.fit_cache import ArrayStore, uncached
from recsys_cli.models.training.checkpoint import StepCheckpoint
from recsys_cli.models.training.ranker_training import Fitting
from recsys_cli.utils.progress import Progress, no_progress
from recsys_cli.utils.stage_timer import StageTimer


@dataclass(frozen=True)
class TrainingContext:
    """The context that all steps of a training share.

    Attributes:
        checkpoint: stores the finished steps of this training.
        cached: fits that several trainings share.
        max_rows: of the ranker's rows over all label windows: as in the settings, or what the memory allows.
    """

    settings: Settings
    threads: int
    stages: StageTimer
    checkpoint: StepCheckpoint
    cached: ArrayStore = uncached
    max_rows: int | None = None

    @property
    def window_rows(self) -> int:
        """How many rows a label window gives at most."""
        ranking = self.settings.ranker
        return max(1, (self.max_rows or ranking.max_train_rows) // ranking.label_windows)

    def fitting(self, progress: Progress = no_progress) -> Fitting:
        """Return how the ranker's members are learnt."""
        return Fitting(self.settings.ranker, self.threads, self.checkpoint, progress)
