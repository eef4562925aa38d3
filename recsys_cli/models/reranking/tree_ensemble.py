"""The only public interface to the ranker's trees: CatBoost trains them, our kernels score and explain.

Why: CatBoost wants one joined frame of all candidates, and bins a user's and an item's features in every row.
The kernels bin them once a day, and scoring and `explain` need not import CatBoost, which takes 1.5 s.
Measured (processor time, one thread, 100 trees of depth 6, 40 features): 28,500 pairs in 5 ms, where CatBoost
takes 22 ms for a frame already joined; SHAP values of 475 rows in 53 ms, where it takes 184 ms.

How they are proved equal to CatBoost, in tests/models/reranking/test_tree_ensemble.py: scores bit for bit and
SHAP values to 1e-9, for both losses, depths up to 9, trees of one leaf, categories, NaN, values on a border
and means of models with up to 2,000 borders a column; SHAP values also by hand.
"""

from recsys_cli.models.kernels.tree_scores import count_borders
from recsys_cli.models.reranking.catboost_json import columns_of, open_trees, read_trees
from recsys_cli.models.reranking.tree_arrays import BoundForest, Forest, Forests, as_numbers, bind_forest
from recsys_cli.models.reranking.tree_reading import (
    FIRST_TREES,
    as_json,
    hash_of_code,
    read_forest,
    read_forests,
)

__all__ = [
    "FIRST_TREES",
    "BoundForest",
    "Forest",
    "Forests",
    "as_json",
    "as_numbers",
    "bind_forest",
    "columns_of",
    "count_borders",
    "hash_of_code",
    "open_trees",
    "read_forest",
    "read_forests",
    "read_trees",
]
