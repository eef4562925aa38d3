"""Learning the second stage: members of other seeds over the same bytes, whose mean is the ranker."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_cli.configs.sections import RankerSettings
from recsys_cli.models.calibration import Calibration
from recsys_cli.models.forest import as_json, read_forests
from recsys_cli.models.ranker import Ranker
from recsys_cli.models.training.checkpoint import Checkpoint
from recsys_cli.models.training.quantised_rows import QuantisedRows
from recsys_cli.models.tree_files import open_trees
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.files import write_json
from recsys_cli.utils.progress import Progress, silent

if TYPE_CHECKING:
    from catboost import CatBoost, Pool

_WITHOUT_WEIGHTS = ("YetiRank", "PairLogit")  # losses of pairs know no weight of a row
_ONE_HOT = 255  # categories up to this many values are split one against the rest: all that a forest knows
_TREES = "trees.json"


@dataclass(frozen=True)
class Fitting:
    """How members are learnt, where finished ones are kept, and who is shown how far it is."""

    settings: RankerSettings
    threads: int
    checkpoint: Checkpoint
    progress: Progress = silent


def fit_ranker(rows: QuantisedRows, fitting: Fitting, name: str = "holdout") -> Ranker:
    """Learn from rows, early stopped on the users of `validation`, uncalibrated.

    Args:
        name: of the members among the finished steps.

    Raises: ModelError when there is nothing to learn from.
    """
    settings = fitting.settings
    _check_labels(rows, settings)
    train, validation = (rows.chosen(mask) for mask in (~rows.validation, rows.validation))
    weighted = settings.loss_function not in _WITHOUT_WEIGHTS
    learnt, held_out = train.pool(weighted=weighted), validation.pool(weighted=weighted)
    trees = _mean_of_members(rows, learnt, held_out, settings.iterations, fitting, name)
    return Ranker(
        read_forests(trees),
        partial(_as_model, trees),
        rows.columns,
        rows.categories,
        Calibration(),
        settings.score,
    )


def refit_ranker(rows: QuantisedRows, judged: Ranker, fitting: Fitting) -> Ranker:
    """Learn again from all rows, with as many trees as `judged` kept, and under its calibration."""
    iterations = max(1, round(judged.model.tree_count_ / fitting.settings.members))
    pool = rows.pool(weighted=fitting.settings.loss_function not in _WITHOUT_WEIGHTS)
    trees = _mean_of_members(rows, pool, None, iterations, fitting, "final")
    return replace(judged, forests=read_forests(trees), open_model=partial(_as_model, trees))


def continue_ranker(rows: QuantisedRows, base: Ranker, baseline: np.ndarray, fitting: Fitting) -> Ranker:
    """Add `settings.warm_iterations` trees that learn from new rows what the ranker still gets wrong.

    Args:
        baseline: f64, the raw score of each row by `base`.

    Raises: ModelError when the rows are all of one label.
    """
    from catboost import sum_models

    if len(np.unique(rows.label)) < 2:
        raise nothing_to_learn()
    settings = fitting.settings
    pool = rows.pool(weighted=settings.loss_function not in _WITHOUT_WEIGHTS, baseline=baseline)
    one = replace(fitting, settings=settings.model_copy(update={"members": 1}))
    added = _mean_of_members(rows, pool, None, settings.warm_iterations, one, "warm start")
    trees = as_json(sum_models([base.model, _as_model(added)]))
    return replace(base, forests=read_forests(trees), open_model=partial(_as_model, trees))


def _mean_of_members(
    rows: QuantisedRows,
    learnt: "Pool",
    held_out: "Pool | None",
    iterations: int,
    fitting: Fitting,
    name: str,
) -> dict[str, Any]:
    """Return the trees of one model that gives the mean raw score of members that differ by their seed.

    Source: Breiman (1996), Bagging Predictors, for why a mean of unsteady models is better than one.
    """
    from catboost import sum_models

    count = fitting.settings.members
    members = []
    for number in range(count):
        shown = partial(_shown, fitting.progress, number * iterations, count * iterations)
        fit = partial(_fit_member, learnt, held_out, fitting, iterations, number, shown)
        step = fitting.checkpoint.step(f"ranker-{name}-{number}".replace(" ", "-"), fit)
        members.append(open_trees(step.folder / _TREES))
    fitting.progress(count * iterations, count * iterations)
    model = members[0] if count == 1 else sum_models(members, weights=[1 / count] * count)
    return rows.with_real_borders(as_json(model))


def _shown(progress: Progress, before: int, total: int, done: int) -> None:
    progress(before + done, total)


def _fit_member(
    learnt: "Pool",
    held_out: "Pool | None",
    fitting: Fitting,
    iterations: int,
    number: int,
    shown: Callable[[int], None],
    folder: Path,
) -> Mapping[str, Any]:
    """Learn one member and write its trees, over bins, into a folder."""
    settings = fitting.settings
    model = _new_model(settings, iterations, fitting.threads, settings.random_state + number)
    early = {} if held_out is None else {"early_stopping_rounds": settings.early_stopping_rounds}
    model.fit(learnt, eval_set=held_out, callbacks=[_Watch(shown)], **early)
    write_json(folder / _TREES, as_json(model))
    return {"trees": model.tree_count_}


class _Watch:
    """What CatBoost calls after each iteration."""

    def __init__(self, shown: Callable[[int], None]) -> None:
        self._shown = shown

    def after_iteration(self, info: Any) -> bool:
        """Show how far it is; it goes on."""
        self._shown(info.iteration)
        return True


def _new_model(settings: RankerSettings, iterations: int, threads: int, seed: int) -> "CatBoost":
    from catboost import CatBoost

    parameters = {
        "loss_function": settings.loss_function,
        "iterations": iterations,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "rsm": settings.rsm,
        "one_hot_max_size": _ONE_HOT,
        "leaf_estimation_iterations": 1,  # CatBoost's ten steps a tree take longer and rank no better here
        "leaf_estimation_backtracking": "No",  # one step is kept as it is: the same trees, 4 % sooner
        "random_seed": seed,
        "thread_count": threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    return CatBoost(parameters)


def _as_model(trees: Mapping[str, Any]) -> "CatBoost":
    """Return trees as CatBoost has them."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / _TREES
        file.write_text(json.dumps(trees), encoding="utf-8")
        return open_trees(file)


def _check_labels(rows: QuantisedRows, settings: RankerSettings) -> None:
    """Raises: ModelError unless there are positives and others to learn from and to stop by."""
    if len(np.unique(rows.label)) < 2:
        raise nothing_to_learn()
    sides = ~rows.validation, rows.validation
    if any(len(np.unique(rows.label[side])) < 2 for side in sides):
        learnt, kept = (len(np.unique(rows.group[side])) for side in sides)
        raise ModelError(
            f"of {learnt + kept} lists with a chosen candidate, {learnt} are to learn from and {kept} are "
            "kept for early stopping: either side needs some, with candidates that were chosen and others",
            where=f"ranker.validation_share = {settings.validation_share}",
            fix="set ranker.validation_share nearer to its default, 0.15, or give more history or longer "
            "windows",
        )


def nothing_to_learn() -> ModelError:
    """Return the error of a training without rows of both labels."""
    return ModelError(
        "the label windows hold too few users whose candidates they then chose",
        where="ranker.label_days, ranker.label_windows",
        fix="give a later --date or more history, longer windows or more num_candidates of the sources",
    )
