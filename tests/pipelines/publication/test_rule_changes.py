"""Rules of two runs, as recorded: which are new, gone, changed, moved, or hold on one date alone."""

from datetime import date
from typing import Any

from recsys_cli.pipelines.publication.rule_changes import changed_rules

NEWS: dict[str, Any] = {"name": "news", "items": "genre = 'news'", "block": True}
BRAND: dict[str, Any] = {"name": "brand", "limit": [{"by": "brand", "at_most": 2}]}
MAY: dict[str, Any] = {"name": "May", "from": "2026-05-01", "until": "2026-05-31", "boost": 2.0, "items": "a"}


def changes(a: Any, b: Any, *days: date) -> list[tuple[str, str, dict[str, Any]]]:
    return [(one.name, one.change, one.values) for one in changed_rules(a, b, *days)]


def test_the_same_rules_differ_in_nothing() -> None:
    assert changes([NEWS, BRAND], [NEWS, BRAND]) == changes(None, None) == changes([], None) == []


def test_each_change_by_hand() -> None:
    more = {**BRAND, "limit": [{"by": "brand", "at_most": 3}], "when": "age > 20"}
    assert changes([NEWS, BRAND], [more, MAY]) == [
        ("news", "only in A", {"items": ["genre = 'news'", None], "block": [True, None]}),
        ("brand", "changed", {"limit": [BRAND["limit"], more["limit"]], "when": [None, "age > 20"]}),
        (
            "May",
            "only in B",
            {
                "from": [None, "2026-05-01"],
                "until": [None, "2026-05-31"],
                "boost": [None, 2.0],
                "items": [None, "a"],
            },
        ),
    ]
    assert changes([NEWS, BRAND, MAY], [BRAND, NEWS, MAY]) == [("news", "another order", {"place": [1, 2]})]


def test_a_rule_that_holds_on_one_date_alone_is_named() -> None:
    april, may, june = (date(2026, month, 10) for month in (4, 5, 6))
    dates = {"from": ["2026-05-01"] * 2, "until": ["2026-05-31"] * 2}
    assert changes([MAY], [MAY], april, may) == [("May", "holds only on the date of B", dates)]
    assert changes([MAY], [MAY], date(2026, 5, 31), june) == [("May", "holds only on the date of A", dates)]
    assert changes([MAY, NEWS], [MAY, NEWS], april, june) == []
