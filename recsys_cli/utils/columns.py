"""The column names of the contract, each defined once."""

from typing import Final

USER_ID: Final = "user_id"
ITEM_ID: Final = "item_id"
TIMESTAMP: Final = "timestamp"
WEIGHT: Final = "weight"
TITLE: Final = "title"
AVAILABLE_FROM: Final = "available_from"
AVAILABLE_UNTIL: Final = "available_until"
EXCLUDED: Final = "excluded"  # by scoring.exclude
ELIGIBLE: Final = "eligible"  # may be recommended on the day
CONTRACT: Final = (USER_ID, ITEM_ID, TITLE, AVAILABLE_FROM, AVAILABLE_UNTIL, EXCLUDED, ELIGIBLE)

USER: Final = "user"  # dense internal index of a user, u32
ITEM: Final = "item"  # dense internal index of an item, u32

RANK: Final = "rank"  # from 1, u16
SCORE: Final = "score"
RAW_SCORE: Final = "raw_score"
SOURCES: Final = "sources"

LONGEST_LIST: Final = 10_000  # items per user; ranks fit u16
