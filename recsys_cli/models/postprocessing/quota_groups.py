"""The groups of several limits or quotas together, numbered on from rule to rule."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recsys_cli.models.postprocessing.rule_arrays import joined
from recsys_cli.models.postprocessing.rule_tables import Limit, Quota


@dataclass(frozen=True)
class RuleGroups:
    """The groups of rules.

    Attributes:
        rules: i64, their numbers; bits: u64, of their marks.
        indptr: (rules, items + 1) i64; codes: i32; those of an item by a rule, as in a CSR matrix each.
    """

    rules: np.ndarray
    bits: np.ndarray
    indptr: np.ndarray
    codes: np.ndarray


def groups_of_rules(rules: Sequence[Limit | Quota]) -> RuleGroups:
    """Return the groups of rules together."""
    groups, numbers = [rule.groups for rule in rules], [rule.rule for rule in rules]
    starts = np.cumsum([0] + [len(one.codes) for one in groups])
    firsts = np.cumsum([0] + [len(one.names) for one in groups])
    indptr = [one.indptr + start for one, start in zip(groups, starts[:-1], strict=True)]
    return RuleGroups(
        np.array(numbers, dtype=np.int64),
        np.uint64(1) << np.array(numbers, dtype=np.uint64),
        np.array(indptr, dtype=np.int64).reshape(len(groups), -1 if groups else 1),
        joined([one.codes + first for one, first in zip(groups, firsts[:-1], strict=True)], np.int32),
    )
