"""Training of the second stage: members with different seeds on the same rows; their mean is the ranker."""

import json
from collections.abc import Callable, Mapping
from concurrent import futures
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event
from typing import TYPE_CHECKING, Any

import numpy as np

from recsys_cli.configs.sections import RankerSettings
from recsys_cli.models.reranking.calibration import Calibration
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.reranking.tree_ensemble import as_json, open_trees, read_forests
from recsys_cli.models.training.checkpoint import StepCheckpoint
from recsys_cli.models.training.quantised_rows import QuantisedRows
from recsys_cli.utils.errors import ModelError
from recsys_cli.utils.progress import Progress, no_progress
from recsys_cli.utils.storage.json_files import write_json

if TYPE_CHECKING:
    from catboost import CatBoost, Pool

_WITHOUT_WEIGHTS = ("YetiRank", "PairLogit")  # pairwise losses do not support row weights
_ONE_HOT = 255  # categories up to this many values are split one-hot: all that `Forest` supports
_TREES = "trees.json"
_SECONDS = 0.2  # between two looks at the progress


def _nothing() -> None:
    """Do nothing: the default of `Fitting.each_iteration`."""


@dataclass(frozen=True)
class Fitting:
    """How members are trained: settings, threads, the store of finished members, and progress.

    Attributes:
        each_iteration: called after every iteration of a member, in the member's own thread.
    """

    settings: RankerSettings
    threads: int
    checkpoint: StepCheckpoint
    progress: Progress = no_progress
    each_iteration: Callable[[], None] = _nothing


@dataclass(frozen=True)
class _Pools:
    """Rows that a member learns from, and those that decide when it stops; None: it makes all its trees."""

    learnt: "Pool"
    held_out: "Pool | None" = None


def fit_ranker(rows: QuantisedRows, fitting: Fitting, name: str = "holdout") -> Ranker:
    """Train an uncalibrated ranker, with early stopping on the validation users.

    Args:
        name: prefix of the members' names in the checkpoint.

    Raises: ModelError if the rows do not have both labels.
    """
    settings = fitting.settings
    _check_labels(rows, settings)
    pools = _Pools(*rows.validation_pools(weighted=settings.loss_function not in _WITHOUT_WEIGHTS))
    trees = _mean_of_members(rows, pools, settings.iterations, fitting, name)
    return Ranker(
        read_forests(trees),
        partial(_as_model, trees),
        rows.columns,
        rows.categories,
        Calibration(),
        settings.score,
    )


def refit_ranker(rows: QuantisedRows, evaluated: Ranker, fitting: Fitting) -> Ranker:
    """Train again on all rows, with as many trees as the `evaluated` ranker, and its calibration."""
    iterations = max(1, round(evaluated.model.tree_count_ / fitting.settings.members))
    pool = rows.pool(weighted=fitting.settings.loss_function not in _WITHOUT_WEIGHTS)
    trees = _mean_of_members(rows, _Pools(pool), iterations, fitting, "final")
    return replace(evaluated, forests=read_forests(trees), open_model=partial(_as_model, trees))


def continue_ranker(
    rows: QuantisedRows, base: Ranker, baseline: np.ndarray, fitting: Fitting, iterations: int
) -> Ranker:
    """Add `iterations` trees that are trained on new rows, on top of the ranker's scores.

    Args:
        baseline: f64, the raw score of each row by `base`.

    Raises: ModelError if all rows have the same label.
    """
    from catboost import sum_models

    if len(np.unique(rows.label)) < 2:
        raise nothing_to_learn()
    settings = fitting.settings
    pool = rows.pool(weighted=settings.loss_function not in _WITHOUT_WEIGHTS, baseline=baseline)
    one = replace(fitting, settings=settings.model_copy(update={"members": 1}))
    added = _mean_of_members(rows, _Pools(pool), iterations, one, "warm start")
    trees = as_json(sum_models([base.model, _as_model(added)]))
    return replace(base, forests=read_forests(trees), open_model=partial(_as_model, trees))


def _mean_of_members(
    rows: QuantisedRows, pools: _Pools, iterations: int, fitting: Fitting, name: str
) -> dict[str, Any]:
    """Return the trees of one model: the mean raw score of members that differ in their seed.

    Source: Breiman (1996), Bagging Predictors, for why a mean of unstable models is better than one.
    """
    from catboost import sum_models

    count = fitting.settings.members
    folders = _fit_members(pools, iterations, fitting, name)
    members = [open_trees(folder / _TREES) for folder in folders]
    model = members[0] if count == 1 else sum_models(members, weights=[1 / count] * count)
    return rows.with_real_borders(as_json(model))


def _fit_members(pools: _Pools, iterations: int, fitting: Fitting, name: str) -> list[Path]:
    """Train the members side by side, and return their folders.

    Several threads of one member would wait for each other at every level of a tree: on a machine with other
    work they hardly advance. The number of threads does not change a tree.
    """
    count = fitting.settings.members
    workers = count if fitting.threads > 1 else 1
    alone = replace(fitting, threads=max(1, fitting.threads // workers))
    iterations_done, stopped = [0] * count, Event()

    def fit(number: int) -> Path:
        def goes_on(done: int) -> bool:
            iterations_done[number] = done
            fitting.each_iteration()
            return not stopped.is_set()

        make = partial(_fit_member, pools, alone, iterations, number, goes_on)
        folder = fitting.checkpoint.step(f"ranker-{name}-{number}".replace(" ", "-"), make).folder
        iterations_done[number] = iterations
        return folder

    with ThreadPoolExecutor(workers) as pool:
        running = [pool.submit(fit, number) for number in range(count)]
        waiting = set(running)
        try:
            while waiting:
                finished, waiting = futures.wait(waiting, _SECONDS, futures.FIRST_EXCEPTION)
                for one in finished:
                    one.result()
                fitting.progress(sum(iterations_done), count * iterations)
        finally:
            stopped.set()
            pool.shutdown(wait=False, cancel_futures=True)
    return [one.result() for one in running]


def _fit_member(
    pools: _Pools,
    fitting: Fitting,
    iterations: int,
    number: int,
    goes_on: Callable[[int], bool],
    folder: Path,
) -> Mapping[str, Any]:
    """Train one member and write its trees, over bins, into a folder.

    Args:
        goes_on: called with the iterations done; returns whether to train on.
    """
    settings = fitting.settings
    model = _new_model(settings, iterations, fitting.threads, settings.random_state + number)
    early = {} if pools.held_out is None else {"early_stopping_rounds": settings.early_stopping_rounds}
    callback = _IterationCallback(goes_on)
    model.fit(pools.learnt, eval_set=pools.held_out, callbacks=[callback], **early)
    if callback.was_stopped:
        raise _StoppedError
    write_json(folder / _TREES, as_json(model))
    return {"trees": model.tree_count_}


class _StoppedError(Exception):
    """The training ends before this member is trained."""


class _IterationCallback:
    """Callback of CatBoost after each iteration."""

    def __init__(self, goes_on: Callable[[int], bool]) -> None:
        self._goes_on = goes_on
        self.was_stopped = False

    def after_iteration(self, info: Any) -> bool:
        """Report the progress; return whether training continues."""
        self.was_stopped = not self._goes_on(info.iteration)
        return not self.was_stopped


def _new_model(settings: RankerSettings, iterations: int, threads: int, seed: int) -> "CatBoost":
    from catboost import CatBoost

    parameters = {
        "loss_function": settings.loss_function,
        "iterations": iterations,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "rsm": settings.rsm,
        "one_hot_max_size": _ONE_HOT,
        "leaf_estimation_backtracking": "No",  # a single step is kept as it is: the same trees, 4 % sooner
        "leaf_estimation_iterations": 1,  # CatBoost's ten steps per tree are slower and rank no better here
        "random_seed": seed,
        "thread_count": threads,
        "allow_writing_files": False,
        "logging_level": "Silent",
    }
    return CatBoost(parameters)


def _as_model(trees: Mapping[str, Any]) -> "CatBoost":
    """Return the trees as a CatBoost model."""
    with TemporaryDirectory() as folder:
        file = Path(folder) / _TREES
        file.write_text(json.dumps(trees), encoding="utf-8")
        return open_trees(file)


def _check_labels(rows: QuantisedRows, settings: RankerSettings) -> None:
    """Raise: ModelError unless training and validation rows each have both labels."""
    if len(np.unique(rows.label)) < 2:
        raise nothing_to_learn()
    sides = ~rows.validation, rows.validation
    if any(len(np.unique(rows.label[side])) < 2 for side in sides):
        trained, held_out = (len(np.unique(rows.group[side])) for side in sides)
        raise ModelError(
            f"of {trained + held_out} lists with a positive candidate, {trained} are for training and "
            f"{held_out} for early stopping: each side needs some, with positive and other candidates",
            where=f"ranker.validation_share = {settings.validation_share}",
            fix="set ranker.validation_share closer to its default, 0.15, or use more history or longer "
            "windows",
        )


def nothing_to_learn() -> ModelError:
    """Return the error of a training without rows of both labels."""
    return ModelError(
        "the label windows have too few users with a positive candidate",
        where="ranker.label_days, ranker.label_windows",
        fix="use a later --date, more history, longer windows or more num_candidates",
    )
