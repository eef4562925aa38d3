"""The libraries alone on what a training had them learn from, a process each.

    python -m tests.benchmarks.libraries inputs FOLDER WORKSPACE DAY [KEY=VALUE …]
    python -m tests.benchmarks.libraries lightfm FOLDER
    python -m tests.benchmarks.libraries catboost FOLDER

`inputs` writes into FOLDER what LightFM and CatBoost learn from, right after a training of the workspace with
the same settings that left one model; it is not timed. The others load nothing of recsys, as its memory would
count in their peak, and write what they took into FOLDER/NAME.seconds.json.
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    import polars as pl
    from catboost import Pool

    from recsys_cli.data_preparation.tables.contract import Tables
    from recsys_cli.models.training.label_window import TrainingTables
    from recsys_cli.models.training.window_rows import WindowRows
    from recsys_cli.pipelines.workspace.layout import Workspace

_MATRICES = ("weights", "user_features", "item_features")
_MODEL = ("no_components", "loss", "learning_rate", "max_sampled", "user_alpha", "item_alpha", "random_state")


def keep_inputs(folder: Path, root: Path, day: date, overrides: Sequence[str]) -> None:
    """Write what the libraries learn from in a training that has just left its only model.

    Raises: ValueError where it is not what that training had.
    """
    from recsys_cli.configs.loader import load_settings
    from recsys_cli.data_preparation.features.labels import label_cuts
    from recsys_cli.models.settings_tree import settings_tree
    from recsys_cli.models.training.label_window import TrainingTables
    from recsys_cli.models.versions.bundle import read_manifest
    from recsys_cli.pipelines.workspace.inputs import read_inputs
    from recsys_cli.pipelines.workspace.layout import Workspace

    settings = load_settings(root, None, overrides, settings_tree()).settings
    workspace = Workspace(root.absolute(), settings)
    (model,) = workspace.models.folder.glob("*/manifest.json")
    cuts = label_cuts(day, settings.ranker.label_days, settings.ranker.label_windows)
    known = TrainingTables.of(read_inputs(workspace, day, cuts), settings)
    _keep_lightfm(folder, workspace, known, cuts)
    _keep_catboost(folder, workspace, known, cuts, read_manifest(model.parent))


def _keep_lightfm(
    folder: Path, workspace: "Workspace", known: "TrainingTables", cuts: Sequence[date]
) -> None:
    """Write the matrices of every fit, the final one last."""
    from recsys_cli.models.candidates.definition import FitTask
    from recsys_cli.models.candidates.sources.lightfm import LIGHTFM
    from recsys_cli.models.candidates.sources.lightfm_training import _problem, _weighted_pairs
    from recsys_cli.models.candidates.stage import fit_encoders

    settings, day = LIGHTFM.section(workspace.settings.candidates), known.everybody.day
    encoders = fit_encoders(known.everybody, workspace.settings.features.max_categories)
    tables: list[Tables] = [*(known.sample.as_of(cut) for cut in cuts), known.everybody.as_of(day)]
    for number, one in enumerate(tables):
        task = FitTask(one, encoders, workspace.threads)
        problem = _problem(task, _weighted_pairs(one, settings.half_life_days))
        if not (workspace.fits / f"{problem.key(settings)}.npz").exists():
            raise ValueError(f"LightFM's fit as of {one.day} is not one of the training's")
        for name in _MATRICES:
            sparse.save_npz(folder / f"{number}-{name}.npz", getattr(problem, name), compressed=False)
    values = settings.model_dump()
    _write(
        folder / "lightfm.json",
        {
            "fits": len(tables),
            "model": {name: values[name] for name in _MODEL},
            "fit": {name: values[name] for name in ("epochs", "num_threads")},
            "threads": workspace.threads,
        },
    )


def _keep_catboost(
    folder: Path,
    workspace: "Workspace",
    known: "TrainingTables",
    cuts: Sequence[date],
    manifest: Mapping[str, Any],
) -> None:
    """Write the rows that the members learn from, and those that they are stopped by."""
    import polars as pl

    from recsys_cli.models.candidates.stage import fit_encoders
    from recsys_cli.models.training.ranker_training import _WITHOUT_WEIGHTS, _new_model
    from recsys_cli.models.training.two_stage_training import feature_columns

    ranking = workspace.settings.ranker
    windows = _window_rows(folder, workspace, known, cuts, manifest)
    encoders = fit_encoders(known.everybody, workspace.settings.features.max_categories)
    columns, categories = feature_columns(windows[-1].columns, encoders, ranking.feature_groups)
    numbers = [name for name in columns if name not in categories]
    earlier = pl.concat(windows[:-1])
    parts = {
        "learnt": earlier.filter(~pl.col("validation")),
        "held_out": earlier.filter("validation"),
        "everything": pl.concat(windows),
    }
    for name, rows in parts.items():
        _keep_rows(folder / f"{name}.npz", rows, numbers, list(categories))
    iterations = max(1, round(manifest["trees"] / ranking.members))
    parameters = _new_model(ranking, ranking.iterations, workspace.threads, 0).get_params()
    _write(
        folder / "catboost.json",
        {
            "numbers": numbers,
            "categories": categories,
            "weighted": ranking.loss_function not in _WITHOUT_WEIGHTS,
            "parameters": parameters,
            "seeds": [ranking.random_state + number for number in range(ranking.members)],
            "holdout": {"early_stopping_rounds": ranking.early_stopping_rounds},
            "final_iterations": iterations,
        },
    )


def _window_rows(
    folder: Path,
    workspace: "Workspace",
    known: "TrainingTables",
    cuts: Sequence[date],
    manifest: Mapping[str, Any],
) -> list["pl.DataFrame"]:
    """Return the rows of each label window: LightFM's fits are those that the training kept."""
    from recsys_cli.models.candidates.fit_cache import FitCache
    from recsys_cli.models.training.checkpoint import StepCheckpoint
    from recsys_cli.models.training.context import TrainingContext
    from recsys_cli.models.training.label_window import LabelWindow
    from recsys_cli.models.training.two_stage_training import lightfm_ahead
    from recsys_cli.utils.stage_timer import StageTimer

    steps, fits = StepCheckpoint(folder / "steps"), FitCache(workspace.fits)
    context = TrainingContext(workspace.settings, workspace.threads, StageTimer(), steps, fits)
    with lightfm_ahead(known, cuts, context, final=False) as ahead:
        windows: list[WindowRows] = [LabelWindow(cut, known, context, ahead).rows() for cut in cuts]
        ours = [(window.rows, window.positives) for window in windows]
        if ours != [(one["rows"], one["positives"]) for one in manifest["label_windows"]]:
            raise ValueError(f"the rows and positives of the windows are not the training's: {ours}")
        return [window.frame() for window in windows]


def _keep_rows(file: Path, rows: "pl.DataFrame", numbers: Sequence[str], categories: Sequence[str]) -> None:
    from recsys_cli.models.training.quantised_rows import row_weights

    arrays = {
        "numbers": _columns(rows, numbers, np.float32),
        "categories": _columns(rows, categories, np.int32),
        "label": rows["label"].to_numpy(),
        "group": rows["group"].to_numpy(),
        "weight": row_weights(rows["label"].to_numpy(), rows["group"].to_numpy()),
    }
    with file.open("wb") as opened:
        np.savez(opened, allow_pickle=False, **arrays)


def _columns(rows: "pl.DataFrame", names: Sequence[str], kind: type) -> np.ndarray:
    """Return (columns, rows); a number that is missing is NaN."""
    values = np.empty((len(names), len(rows)), dtype=kind)
    for place, name in enumerate(names):
        values[place] = rows[name].to_numpy()
    return values


def time_lightfm(folder: Path) -> dict[str, Any]:
    """Return the seconds of all fits, side by side as the training has them, and of each.

    The longest begin first: no order of the same fits on these threads takes much less.
    """
    told = json.loads((folder / "lightfm.json").read_text(encoding="utf-8"))
    fits = [
        [sparse.load_npz(folder / f"{number}-{name}.npz") for name in _MATRICES]
        for number in range(told["fits"])
    ]
    fits.sort(key=lambda matrices: -matrices[0].nnz)
    import lightfm  # noqa: F401  # pylint: disable=unused-import  # not among the seconds of a fit

    started = time.perf_counter()
    with ThreadPoolExecutor(told["threads"]) as pool:
        each = list(pool.map(partial(_time_fit, told), fits))
    return {"seconds": _since(started), "fits": each}


def _time_fit(told: Mapping[str, Any], matrices: Sequence[sparse.spmatrix]) -> dict[str, float]:
    from lightfm import LightFM

    weights, users, items = matrices
    taken = (weights > 0).astype(np.float32).tocoo()
    started = time.perf_counter()
    LightFM(**told["model"]).fit(
        taken, sample_weight=weights.tocoo(), user_features=users, item_features=items, **told["fit"]
    )
    return {"pairs": weights.nnz, "seconds": _since(started)}


def time_catboost(folder: Path) -> dict[str, Any]:
    """Return the seconds of the members' fits; those in which Pools were made stand apart."""
    told = json.loads((folder / "catboost.json").read_text(encoding="utf-8"))
    started = time.perf_counter()
    learnt, held_out = (_pool(folder / f"{name}.npz", told) for name in ("learnt", "held_out"))
    pools = _since(started)
    holdout = [
        _time_member(told, seed, learnt, eval_set=held_out, **told["holdout"]) for seed in told["seeds"]
    ]
    del learnt, held_out
    started = time.perf_counter()
    everything = _pool(folder / "everything.npz", told)
    pools += _since(started)
    told["parameters"]["iterations"] = told["final_iterations"]
    final = [_time_member(told, seed, everything) for seed in told["seeds"]]
    seconds = round(sum(member["seconds"] for member in holdout + final), 3)
    return {"seconds": seconds, "pool_seconds": round(pools, 3), "holdout": holdout, "final": final}


def _pool(file: Path, told: Mapping[str, Any]) -> "Pool":
    """Return rows as a user of the library has them: a frame of f32, codes of categories beside them."""
    import pandas as pd
    from catboost import Pool

    with np.load(file, allow_pickle=False) as arrays:
        columns = {
            **dict(zip(told["numbers"], arrays["numbers"], strict=True)),
            **dict(zip(told["categories"], arrays["categories"], strict=True)),
        }
        return Pool(
            pd.DataFrame(columns, copy=False),
            label=arrays["label"],
            weight=arrays["weight"] if told["weighted"] else None,
            group_id=arrays["group"],
            cat_features=list(told["categories"]),
        )


def _time_member(told: Mapping[str, Any], seed: int, rows: "Pool", **options: Any) -> dict[str, float]:
    from catboost import CatBoost

    model = CatBoost({**told["parameters"], "random_seed": seed})
    started = time.perf_counter()
    model.fit(rows, **options)
    return {"rows": rows.num_row(), "trees": model.tree_count_, "seconds": _since(started)}


def _since(started: float) -> float:
    return round(time.perf_counter() - started, 3)


def _write(file: Path, told: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(told), encoding="utf-8")


def main() -> None:
    """Keep the inputs, or time a library on them."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("task", choices=["inputs", "lightfm", "catboost"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("workspace", type=Path, nargs="?")
    parser.add_argument("day", type=date.fromisoformat, nargs="?")
    parser.add_argument("settings", nargs="*")
    args = parser.parse_args()
    if args.task == "inputs":
        keep_inputs(args.folder, args.workspace, args.day, args.settings)
    else:
        timed = time_lightfm if args.task == "lightfm" else time_catboost
        _write(args.folder / f"{args.task}.seconds.json", timed(args.folder))


if __name__ == "__main__":
    main()
