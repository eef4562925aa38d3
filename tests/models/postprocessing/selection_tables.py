"""Small shortlists and rules for tests of list selection, and the same choice written plainly in Python."""

from dataclasses import dataclass, field

import numpy as np

from recsys_cli.models.postprocessing.rule_tables import ItemGroups, PlacedBy, RuleTables
from recsys_cli.models.postprocessing.selection import Chosen, Shortlist


def groups_of(*values: list[int]) -> ItemGroups:
    """Return the groups of items 0, 1, …, each a list of codes."""
    codes = [code for item in values for code in item]
    indptr = np.cumsum([0, *(len(item) for item in values)])
    names = tuple(f"group {code}" for code in range(max(codes, default=-1) + 1))
    return ItemGroups(indptr.astype(np.int64), np.array(codes, dtype=np.int32), names)


def one_group(items: int) -> ItemGroups:
    return groups_of(*([0] for _ in range(items)))


def tables_of(*factors: float, **actions: tuple[object, ...]) -> RuleTables:
    names = tuple(f"rule {number}" for number in range(len(factors)))
    return RuleTables(names, np.uint64(0), np.array(factors, dtype=np.float32), **actions)  # type: ignore


def shortlist_of(users: list[dict[int, tuple[float, int]]], user_marks: list[int] | None = None) -> Shortlist:
    """Return the shortlist of users, each item → (score, marks); by default users meet every rule."""
    pairs = [(item, *cells) for user in users for item, cells in user.items()]
    return Shortlist(
        np.cumsum([0, *map(len, users)]).astype(np.int64),
        np.array([item for item, _, _ in pairs], dtype=np.int32),
        np.array([score for _, score, _ in pairs], dtype=np.float32),
        np.array([marks for _, _, marks in pairs], dtype=np.uint64),
        np.array([255] * len(users) if user_marks is None else user_marks, dtype=np.uint64),
    )


def lists_of(shortlist: Shortlist, chosen: Chosen) -> list[list[int]]:
    """Return the items of each user's list."""
    items = shortlist.items[chosen.rows]
    return [items[a:b].tolist() for a, b in zip(chosen.indptr[:-1], chosen.indptr[1:], strict=True)]


def reasons_of(chosen: Chosen) -> list[tuple[PlacedBy, int]]:
    return [(PlacedBy(by), int(rule)) for by, rule in zip(chosen.placed_by, chosen.rules, strict=True)]


@dataclass
class PlainChoice:
    """One user's list, chosen without arrays; `left` of quotas by (rule, code) falls."""

    tables: RuleTables
    user_mark: int
    pairs: dict[int, tuple[float, int]]
    k: int
    left: dict[tuple[int, int], int] | None = None
    weight: float = 0.0
    vectors: np.ndarray | None = None
    places: dict[int, int] = field(default_factory=dict)

    def has(self, item: int, rule: int) -> bool:
        return bool(self.pairs[item][1] & self.user_mark & (1 << rule))

    def value(self, item: int) -> np.float32:
        factor = 1.0
        for rule, number in enumerate(self.tables.factors):
            factor *= float(number) if self.has(item, rule) else 1.0
        return np.float32(float(np.float32(self.pairs[item][0])) * factor)

    def in_order(self) -> list[int]:
        """Return the items that may still be chosen, best value first."""
        free = [item for item in self.pairs if item not in self.places.values() and self.allowed(item)]
        return sorted(free, key=lambda item: (-self.value(item), item))

    def codes(self, rule: int, groups: ItemGroups, item: int) -> set[int]:
        row = groups.codes[groups.indptr[item] : groups.indptr[item + 1]]
        return set(row.tolist()) if self.has(item, rule) else set()

    def allowed(self, item: int) -> bool:
        for limit in self.tables.limits:
            for code in self.codes(limit.rule, limit.groups, item):
                same = [
                    one for one in self.places.values() if code in self.codes(limit.rule, limit.groups, one)
                ]
                if len(same) >= limit.at_most:
                    return False
        return self.left is None or all(
            self.left[quota.rule, code] != 0
            for quota in self.tables.quotas
            for code in self.codes(quota.rule, quota.groups, item)
        )

    def take(self, item: int, place: int) -> None:
        self.places[place] = item
        for quota in self.tables.quotas if self.left is not None else ():
            for code in self.codes(quota.rule, quota.groups, item):
                assert self.left is not None
                self.left[quota.rule, code] -= self.left[quota.rule, code] > 0

    def free_place(self, first: int) -> int | None:
        return next((place for place in range(first, self.k + 1) if place not in self.places), None)

    def choose(self) -> tuple[list[int], int]:
        """Return the list and the bits of the pins and needs that are unmet."""
        unmet = 0
        for pin in self.tables.pins:
            for wish in pin.places if self.user_mark & (1 << pin.rule) else ():
                place = self.free_place(wish)
                best = [item for item in self.in_order() if self.has(item, pin.rule)]
                if wish <= self.k and (place is None or not best):
                    unmet |= 1 << pin.rule
                elif place is not None and best:
                    self.take(best[0], place)
        while (place := self.free_place(1)) is not None and (order := self.in_order()):
            self.take(self.best_of(self.forced(order) or order), place)
        for rule, lacking in self.lacking().items():
            unmet |= (1 << rule) * (lacking > 0)
        return [self.places[place] for place in sorted(self.places)], unmet

    def best_of(self, order: list[int]) -> int:
        top = max(float(self.value(item)) for item in self.pairs)
        near = {item: self.nearest(item) for item in order} if self.weight else dict.fromkeys(order, 0.0)
        scale = (1 - self.weight) / top if self.weight and top > 0 else 1 - self.weight
        return max(order, key=lambda item: scale * float(self.value(item)) - self.weight * near[item])

    def nearest(self, item: int) -> float:
        assert self.vectors is not None
        alike = [float(self.vectors[item] @ self.vectors[other]) for other in self.places.values()]
        return max([0.0, *alike])

    def lacking(self) -> dict[int, int]:
        return {
            need.rule: need.at_least - sum(self.has(item, need.rule) for item in self.places.values())
            for need in self.tables.needs
            if self.user_mark & (1 << need.rule)
        }

    def forced(self, order: list[int]) -> list[int]:
        """Return the pairs that alone may be taken, as the free places suffice just for the needs."""
        able = {
            rule: min(lacking, sum(self.has(item, rule) for item in order))
            for rule, lacking in self.lacking().items()
        }
        wanted = [rule for rule, number in able.items() if number > 0]
        total, free = sum(able[rule] for rule in wanted), self.k - len(self.places)
        helps = {item: sum(self.has(item, rule) for rule in wanted) for item in order}
        if not wanted or free > total:
            return []
        least = max(helps.values()) if free < total else 1
        return [item for item in order if helps[item] >= least]
