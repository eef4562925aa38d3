"""What quotas cut off from a list."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SoldOut:
    """An item that the user would have had, but for a quota.

    Attributes:
        rank: that it would have; rule: the quota's name; rows: of all lists that the item, or its group, has.
    """

    rank: int
    rule: str
    rows: int
