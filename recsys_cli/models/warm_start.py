"""Warm start: a model that goes on learning from the days since its training, instead of starting again."""

from datetime import timedelta

from recsys_cli.data_preparation.tables import Tables
from recsys_cli.models.candidates.stage import continue_candidate_stage
from recsys_cli.models.ranker import continue_ranker
from recsys_cli.models.training import Training, Workshop, examined, label_window, raise_alarm
from recsys_cli.models.two_stage import TwoStageModel
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.progress import Progress, silent

_STEPS = 4


def warm_start(base: TwoStageModel, tables: Tables, shop: Workshop, progress: Progress = silent) -> Training:
    """Continue both stages of `base` with the days from its training to `tables.day`.

    These days are one label window: the candidate models of `base` have not seen them, so its lists in them
    are its exam, and the ranker's new trees learn from them. Then the candidate models go on, too.

    Raises: ModelError where no day has passed since the training, or the window has leaked; InputError where
        nothing happened in these days.
    """
    if tables.day - base.trained_through < timedelta(days=1):
        raise ModelError(
            f"the promoted model is trained through {base.trained_through}: no newer day to learn from",
            where="recsys train --warm-start",
            fix="give a later --date",
        )
    progress(0, _STEPS)
    window = label_window(tables, base.trained_through, shop, base.stage)
    raise_alarm(tables, window, shop)
    progress(1, _STEPS)
    judged, verdict = examined(base.ranker, window, shop)
    progress(2, _STEPS)
    with shop.stages.stage("ranker"):
        ranker = continue_ranker(window.frame, judged, shop.settings.ranker, shop.threads)
    progress(3, _STEPS)
    overlap = timedelta(days=shop.settings.ranker.label_days)  # lest new events drive out the old
    with shop.stages.stage("candidate models"):
        since = base.trained_through - overlap
        stage = continue_candidate_stage(base.stage, tables, shop.settings, shop.threads, since)
    progress(_STEPS, _STEPS)
    model = TwoStageModel(stage, ranker, tables.day)
    return Training(model, [window.summary()], verdict, ranker.importance())
