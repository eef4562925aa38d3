"""Settings that have moved: files and models that name the old place are still read."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from recsys_cli.configs.layers import Layer

MOVED: Final[Mapping[str, tuple[str, ...]]] = {
    "candidates.item_knn.num_candidates": (
        "candidates.bm25.num_candidates",
        "candidates.cosine.num_candidates",
    ),
    "candidates.item_knn.recent_candidates": (
        "candidates.bm25_recent.num_candidates",
        "candidates.cosine_recent.num_candidates",
    ),
    "candidates.item_knn.neighbours": ("candidates.bm25.neighbours", "candidates.cosine.neighbours"),
    "candidates.ease.recent_candidates": ("candidates.ease_recent.num_candidates",),
    "candidates.index": ("scoring.index",),
    "candidates.min_index_recall": ("scoring.min_index_recall",),
    "candidates.lightfm.warm_epochs": ("warm_start.epochs",),
    "ranker.warm_iterations": ("warm_start.iterations",),
}
GONE: Final[Mapping[str, str]] = {
    "candidates.item_knn": "its sources have a section each: switch one off by its own num_candidates, "
    "such as candidates.cosine.num_candidates = 0",
}


def with_new_names(layer: Layer) -> Layer:
    """Return a layer with the settings at their new places; a setting that names the new place wins."""
    kept, moved = Layer(), Layer()
    for path, setting in layer.items():
        old = ".".join(path)
        for new in MOVED.get(old, ()):
            moved[tuple(new.split("."))] = replace(setting, origin=f"{setting.origin}, as {old}")
        if old not in MOVED:
            kept[path] = setting
    return moved | kept
