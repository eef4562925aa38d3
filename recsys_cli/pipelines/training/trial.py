"""A trial of a training: each of its pieces is done once, and what it costs is measured."""

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from importlib import import_module
from os import sched_getaffinity
from pathlib import Path
from time import perf_counter, process_time
from typing import TypeVar, cast

import numpy as np

from recsys_cli.data_preparation.tables.contract import Tables
from recsys_cli.models.candidates.definition import FitTask
from recsys_cli.models.candidates.fit_cache import Arrays, Make, NothingStored, Shapes
from recsys_cli.models.candidates.registry import sources_on
from recsys_cli.models.candidates.sources.lightfm import LIGHTFM
from recsys_cli.models.candidates.sources.lightfm_model import LightFMModel
from recsys_cli.models.candidates.sources.lightfm_training import fit_lightfm
from recsys_cli.models.candidates.stage import fit_encoders, prepare_items_once
from recsys_cli.models.reranking.ranker import Ranker
from recsys_cli.models.reranking.tree_ensemble import as_json, read_forests
from recsys_cli.models.training.context import TrainingContext
from recsys_cli.models.training.holdout import evaluate_on_holdout
from recsys_cli.models.training.label_window import LabelWindow, TrainingTables
from recsys_cli.models.training.lightfm_fits import Cost, Step
from recsys_cli.models.training.quantised_rows import QuantisedRows, quantise
from recsys_cli.models.training.ranker_training import fit_ranker
from recsys_cli.models.training.two_stage_training import feature_columns
from recsys_cli.models.training.window_rows import WindowRows
from recsys_cli.models.two_stage import TwoStageModel, candidate_frame
from recsys_cli.models.versions.bundle import write_bundle
from recsys_cli.utils.columns import USER
from recsys_cli.utils.errors import InputError
from recsys_cli.utils.stage_timer import StageTimer, peak_bytes

_WARM_UP, _ITERATIONS = 3, 18  # of CatBoost; the first ones are not timed
_LOADED = ("catboost", "lightfm", "pandas")  # by a training, when it first needs them
_USERS = 64  # whose candidates are made first: that loads what is compiled
_HELD_OUT = 7  # every so many-th list is held out where the ranker is tried
_HASHED, _BLOCKS = 4_000_000, 40  # bytes, and how often on each core: it takes half a second at most
_GROUP_BITS = np.uint64(50)  # a group's number is smaller

Made = TypeVar("Made")
Instant = tuple[float, float]  # seconds of the clock, and of all cores


@dataclass(frozen=True)
class Trial:
    """What the pieces cost, and what follows for the whole training.

    Attributes:
        costs: of the pieces by name; iterations: of the ranker's members, for the holdout and at the end.
        shares: events before each label window, and before the day, relative to those before the last one.
        rows: that each label window is expected to give; users: whose rows were made.
        disk_bytes: of the finished steps and the model, LightFM's fits aside; cores: that the process gets.
        peaks: bytes of memory, before the ranker and with it.
    """

    costs: Mapping[str, Cost]
    iterations: tuple[int, int]
    shares: Sequence[float]
    rows: Sequence[int]
    users: int
    disk_bytes: int
    cores: float
    peaks: tuple[int, int]

    def timeline(self) -> tuple[list[Step], list[Cost]]:
        """Return the steps of the whole training, and LightFM's fits."""
        costs, last = self.costs, len(self.rows)
        fits = [costs["window fit"] * share for share in self.shares]
        fits = [costs.get("final fit", fits[last]), *fits[:last]]
        steps: list[Step] = [(costs[name], None) for name in ("load", "windows", "words", "first users")]
        for number, (share, rows) in enumerate(zip(self.shares, self.rows, strict=False)):
            steps += [(costs["features"] * share, None), (costs["similarities"] * share, number + 1)]
            steps += [(costs["open"], None), (costs["rows"] * rows, None)]
        steps += [(costs["quantise"] * sum(self.rows), 0)]  # the ranker waits for the final fit
        steps += self._ranker(sum(self.rows[:-1]), self.iterations[0])
        steps.append((costs["holdout"], None))
        steps += self._ranker(sum(self.rows), self.iterations[1])
        return [*steps, (costs["similarities"] * self.shares[-1], None), (costs["save"], None)], fits

    def _ranker(self, rows: int, iterations: int) -> list[Step]:
        share = rows / sum(self.rows)
        return [(self.costs["pool"] * share, None), (self.costs["iteration"] * (iterations * share), None)]


def try_pieces(
    known: TrainingTables, cuts: Sequence[date], context: TrainingContext, iterations: tuple[int, int]
) -> Trial:
    """Do each piece of a training once.

    Raises: as a training does; InputError where the last label window gives no rows.
    """
    costs: dict[str, Cost] = {}
    context = replace(context, stages=StageTimer())
    _timed(costs, "load", lambda: [import_module(name) for name in _LOADED])
    sizes = _timed(costs, "windows", lambda: [_size(LabelWindow(cut, known, context)) for cut in cuts])
    shares = [events / sizes[-1][1] for _, events in [*sizes, (0, len(known.everybody.events))]]
    lightfm = cast(LightFMModel, _lightfm_tried(known, cuts[-1], context, costs))
    window = LabelWindow(
        cuts[-1], known, context, lambda *_: lightfm, prepare=prepare_items_once(known.everybody)
    )
    made, peak = _rows_tried(window, costs), peak_bytes()
    per_user = made.rows / min(sizes[-1][0], made.files * context.settings.scoring.chunk_users)
    rows = [min(context.window_rows, max(1, round(per_user * users))) for users, _ in sizes]
    ranker = _grown(_ranker_tried(window, sum(rows), costs), iterations[1])
    _timed(costs, "holdout", lambda: evaluate_on_holdout(ranker, window, context))
    saved = _timed(costs, "save", lambda: _save_trial_model(window, ranker))
    folders = (made.folder, sum(rows) / made.rows), (saved, 1.0)
    disk = round(sum(times * file.stat().st_size for folder, times in folders for file in folder.iterdir()))
    return Trial(costs, iterations, shares, rows, made.users, disk, _free_cores(), (peak, peak_bytes()))


def _rows_tried(window: LabelWindow, costs: dict[str, Cost]) -> WindowRows:
    """Open a label window and make its rows; "rows" is the cost of one."""
    _timed(costs, "features", lambda: window.features)
    _timed(costs, "similarities", lambda: window.stage)
    _timed(costs, "words", lambda: _prepare(window))
    _timed(costs, "open", lambda: window.day)
    first = window.positives[USER].unique().sort().head(_USERS).to_numpy()
    _timed(costs, "first users", lambda: candidate_frame(first, window.day))
    made = _timed(costs, "rows", window.rows)
    if not made.rows:
        what = f"nobody took a candidate in the label window from {window.first_day} on"
        fix = "give another --date, deliver more history, or lengthen the label windows"
        raise InputError(what, where="ranker.label_days, ranker.label_windows", fix=fix)
    costs["rows"] *= 1 / made.rows
    return made


def _prepare(window: LabelWindow) -> None:
    """Prepare what sources derive from the items' own columns."""
    settings, threads = window.context.settings, window.context.threads
    for one in sources_on(settings.candidates, filter_viewed=settings.only_new_items):
        window.prepare(one, window.features, settings.candidates, threads)


def _lightfm_tried(
    known: TrainingTables, cut: date, context: TrainingContext, costs: dict[str, Cost]
) -> LightFMModel | None:
    """Learn LightFM of a label window for an epoch, and that of all users where these are more."""
    if not LIGHTFM.section(context.settings.candidates).num_candidates:
        costs["window fit"] = Cost(0.0)
        return None
    costs["window fit"], model = _epoch_tried(known.sample.as_of(cut), context)
    if known.sample is not known.everybody:
        costs["final fit"], _ = _epoch_tried(known.everybody, context)
    return model


def _epoch_tried(tables: Tables, context: TrainingContext) -> tuple[Cost, LightFMModel]:
    """Learn LightFM for an epoch; return the cost of all epochs, and the model."""
    settings, times = LIGHTFM.section(context.settings.candidates), [_now()]

    def made(_key: str, _shapes: Shapes, make: Make) -> Arrays:
        times.append(_now())
        arrays = make(NothingStored())
        times.append(_now())
        return arrays

    encoders = fit_encoders(tables, context.settings.features.max_categories)
    task = FitTask(tables, encoders, context.threads, cached=made)
    model = fit_lightfm(task, settings.model_copy(update={"epochs": 1}))
    before, epoch = _cost(times[0], times[1]), _cost(times[1], times[2])
    return Cost(before.seconds + settings.epochs * epoch.seconds, epoch.cores), model


def _ranker_tried(window: LabelWindow, size: int, costs: dict[str, Cost]) -> Ranker:
    """Learn one member for some iterations from so many rows; "quantise" is the cost of one of these."""
    made, context, times = window.rows(), window.context, list[Instant]()
    columns = feature_columns(made.columns, window.stage.encoders, context.settings.ranker.feature_groups)
    rows = _timed(costs, "quantise", lambda: quantise([made], *columns))
    costs["quantise"] *= 1 / made.rows
    less = {"members": 1, "iterations": _ITERATIONS, "early_stopping_rounds": _ITERATIONS}
    fitting = replace(context.fitting(), each_iteration=lambda: times.append(_now()))
    fitting = replace(fitting, settings=fitting.settings.model_copy(update=less))
    ranker = _timed(costs, "pool", lambda: fit_ranker(_tiled(rows, size), fitting, "trial"))
    costs["iteration"] = _cost(times[_WARM_UP - 1], times[_ITERATIONS - 1]) * (1 / (_ITERATIONS - _WARM_UP))
    costs["pool"] *= max(0.0, 1 - _ITERATIONS * costs["iteration"].seconds / costs["pool"].seconds)
    return ranker


def _tiled(rows: QuantisedRows, size: int) -> QuantisedRows:
    """Return so many rows: the given ones repeated, as those of other users."""
    tiles, places = np.divmod(np.arange(size), len(rows))
    group = rows.group[places] + (tiles.astype(np.uint64) << _GROUP_BITS)
    lists = np.cumsum(np.append(False, group[1:] != group[:-1]))
    return replace(rows.chosen(places), group=group, validation=lists % _HELD_OUT == 0, ends=(size,))


def _grown(ranker: Ranker, trees: int) -> Ranker:
    """Return a ranker of so many trees, the given ones repeated: it is as slow as a learnt one."""
    from catboost import sum_models

    copies = max(1, round(trees / max(1, ranker.model.tree_count_)))
    model = sum_models([ranker.model] * copies, weights=[1 / copies] * copies)
    return replace(ranker, forests=read_forests(as_json(model)), open_model=lambda: model)


def _save_trial_model(window: LabelWindow, ranker: Ranker) -> Path:
    """Write a model of the label window, and return its folder."""
    model = TwoStageModel(window.stage, ranker, window.first_day)
    step = window.context.checkpoint.step("model", lambda folder: {"version": write_bundle(model, folder)})
    return step.folder


def _size(window: LabelWindow) -> tuple[int, int]:
    """Return the users who took something in a label window, and the events before it."""
    window.check()
    return window.positives[USER].n_unique(), len(window.before.everybody.events)


def _free_cores() -> float:
    """Return how many cores this process gets now if it has work for all, measured by hashing on each."""
    cores, block, began = len(sched_getaffinity(0)), bytes(_HASHED), _now()
    with ThreadPoolExecutor(cores) as pool:
        deque(pool.map(sha256, [block] * (_BLOCKS * cores)), maxlen=0)
    return max(1.0, _cost(began, _now()).cores)


def _timed(costs: dict[str, Cost], name: str, work: Callable[[], Made]) -> Made:
    """Return the result of a piece of work, and record its cost under the name."""
    began = _now()
    made = work()
    costs[name] = _cost(began, _now())
    return made


def _now() -> Instant:
    return perf_counter(), process_time()


def _cost(began: Instant, ended: Instant) -> Cost:
    seconds = max(ended[0] - began[0], 1e-9)
    return Cost(seconds, (ended[1] - began[1]) / seconds)
