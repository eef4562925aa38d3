"""The column names of the contract, each defined once."""

from typing import Final

USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
TIMESTAMP: Final = "timestamp"
WEIGHT: Final = "weight"
EVENT_TYPE: Final = "event_type"  # in the source a name, in the tables its code, u8
TITLE: Final = "title"
AVAILABLE_FROM: Final = "available_from"
AVAILABLE_UNTIL: Final = "available_until"
EXCLUDED: Final = "excluded"  # by scoring.exclude
LISTED: Final = "in_items_table"  # a column only where some items are not
ELIGIBLE: Final = "eligible"  # may be recommended on the day
SNAPSHOT_DAY: Final = "snapshot_day"  # in `columns` alone: the day of a row of a table a day
SNAPSHOT_NAMES: Final = ("date", "day")  # of the column or key that holds it, unless it is named
CONTRACT: Final = (USER_ID, ITEM_ID, TITLE, AVAILABLE_FROM, AVAILABLE_UNTIL, EXCLUDED, LISTED, ELIGIBLE)
FOR_RULES: Final = "rules."  # before the names of columns that rules may use and the ranker does not see

USER: Final = "user"  # dense internal index of a user, u32
ITEM: Final = "item"  # dense internal index of an item, u32

SEEN: Final = "seen"  # whether scoring.filter_viewed leaves the pair out of the lists
GAIN: Final = "gain"  # how much a relevant pair counts, f64; only where events have weights

RANK: Final = "rank"  # from 1, u16
SCORE: Final = "score"
RAW_SCORE: Final = "raw_score"
SOURCES: Final = "sources"
RULE: Final = "rule"  # the name of the rule that gave an item its place; empty for none
PLACED_BY: Final = "placed_by"  # what gave an item its place
PROPENSITY: Final = "propensity"  # the chance with which exploration drew the item, f32; null: not drawn
MARKS: Final = "marks"  # the rules that a pair meets, u64
USER_MARKS: Final = "user_marks"  # the rules that a user meets, u64

LONGEST_LIST: Final = 10_000  # items per user; ranks fit u16


def is_for_models(name: str) -> bool:
    """Return whether a column of users or items is none of the contract's and not for rules alone."""
    return name not in CONTRACT and not name.startswith(FOR_RULES)
