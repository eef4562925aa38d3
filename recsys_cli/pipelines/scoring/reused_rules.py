"""Rules and reused lists: the users for whom other rules hold now than when their lists were made."""

from dataclasses import dataclass

import numpy as np
import polars as pl

from recsys_cli.configs.rule_sections import Rule
from recsys_cli.data_preparation.features.feature_tables import FeatureTables
from recsys_cli.data_preparation.features.partition import StoredFeatures
from recsys_cli.data_preparation.tables.campaigns import CampaignIds, inspect_campaigns
from recsys_cli.data_preparation.tables.ids import indices_of
from recsys_cli.models.candidates.protocol import Pairs
from recsys_cli.models.postprocessing.list_settings import ListRequest
from recsys_cli.models.postprocessing.rule_binding import BoundRules, DayRules, bind_rules
from recsys_cli.pipelines.workspace.scoring_day import ScoringDay
from recsys_cli.utils.columns import ITEM, ITEM_ID, USER, USER_ID

_MARKS = "marks"


@dataclass(frozen=True)
class ReusedRules:
    """The same rules on the day of earlier lists and on the day that may reuse them.

    Attributes:
        regrouped: external ids of items that limits count with other ones now, as by another brand.
    """

    before: DayRules
    today: DayRules
    regrouped: pl.Series

    def differing(self, before: FeatureTables, today: FeatureTables, listed: pl.DataFrame) -> pl.Series:
        """Return the users for whom, or for an item of whose list, other rules hold, or an item is regrouped.

        Args:
            before, today: features of some users; listed: user_id and item_id of their lists, sorted by user.
        """
        found = [listed.filter(pl.col(ITEM_ID).is_in(self.regrouped.implode()))[USER_ID]]
        sides = [(before, self.before.of_users(before)), (today, self.today.of_users(today))]
        for own in ([_of_users(*side) for side in sides], [_of_pairs(*side, listed) for side in sides]):
            keys = [name for name in own[0].columns if name != _MARKS]
            both = own[0].join(own[1], on=keys, suffix="_now")
            found.append(both.filter(pl.col(_MARKS) != pl.col(f"{_MARKS}_now"))[USER_ID])
        return pl.concat(found)


def bound_on_both_days(
    asked: ListRequest, since: ScoringDay, before: StoredFeatures, today: StoredFeatures, rules: DayRules
) -> ReusedRules:
    """Bind the rules to the day of earlier lists, too.

    Args:
        asked: with rules that are the same on both days, as `DayRequest.rules_key` has it.
        rules: bound to today's items.
    """
    settings, workspace = asked.settings, since.workspace
    paths = [rule.pin.campaign for rule in settings.rules if rule.pin and rule.pin.campaign]
    ids = CampaignIds(before.user_ids, before.items[ITEM_ID])
    campaigns, _ = inspect_campaigns(paths, workspace.inputs, since.date, workspace.settings.timezone, ids)
    then = bind_rules(settings.rules, before, asked.inputs.users, campaigns, list_length=settings.top_k)
    names = sorted({name for rule in settings.rules for name in _grouped_by(rule)})
    return ReusedRules(then, rules, _regrouped(before.items, today.items, names))


def _grouped_by(rule: Rule) -> list[str]:
    """Return the columns of items by which a rule counts them."""
    limits = [one.by for one in rule.limit or () if one.by is not None]
    return limits if rule.one_of is None else [*limits, rule.one_of]


def _regrouped(before: pl.DataFrame, today: pl.DataFrame, names: list[str]) -> pl.Series:
    keys = [ITEM_ID, *names]
    texts = pl.selectors.list().cast(pl.List(pl.String)).list.join("\0")
    then, now = (items.select(keys).with_columns(texts) for items in (before, today))
    return then.join(now, on=keys, how="anti", nulls_equal=True)[ITEM_ID]


def _of_users(features: FeatureTables, rules: BoundRules) -> pl.DataFrame:
    users = np.arange(len(features.users), dtype=np.uint32)
    return features.users.select(USER_ID).with_columns(pl.Series(_MARKS, rules.user_marks(users)))


def _of_pairs(features: FeatureTables, rules: BoundRules, listed: pl.DataFrame) -> pl.DataFrame:
    """Return user_id, item_id and the rules that each listed pair meets, u64."""
    indices = [
        indices_of(listed[key], known).alias(name)
        for key, known, name in (
            (USER_ID, features.user_ids, USER),
            (ITEM_ID, features.items[ITEM_ID], ITEM),
        )
    ]
    known = (
        listed.select(USER_ID, ITEM_ID).with_columns(*indices).drop_nulls().sort(USER, maintain_order=True)
    )
    users = np.arange(len(features.users), dtype=np.uint32)
    indptr = np.searchsorted(known[USER].to_numpy(), np.arange(len(users) + 1)).astype(np.int64)
    marks = rules.marks(users, Pairs(indptr, known[ITEM].to_numpy().astype(np.int32)))
    return known.select(USER_ID, ITEM_ID).with_columns(pl.Series(_MARKS, marks))
