"""`recsys explain --item`: why one item is in a list, or why not."""

from typing import TYPE_CHECKING

from recsys_cli.cli.display.phrases import in_words, item_label
from recsys_cli.cli.display.terminal import Terminal

if TYPE_CHECKING:
    from recsys_cli.pipelines.explain import Explanation
    from recsys_cli.pipelines.explanation.item_stages import ItemExplanation, ItemInSource, RankedItem

_BARS = 12
_LOST = 5
_LENGTH = 20  # of the longest bar, in characters


def show_item(terminal: Terminal, explanation: "Explanation") -> None:
    """Show the stage that decided, and what it decided by."""
    item = explanation.item
    assert item is not None
    for difference in explanation.differences:
        terminal.warn(difference)
    label = item_label(item.item_id, item.title)
    terminal.show_line(
        f"{label}, for user {explanation.user_id} on {explanation.day}: {_conclusion(explanation, item)}"
    )
    rows = [_source_row(name, source) for name, source in item.sources.items()]
    columns = ("source", "place", "needed", "score", "proposed")
    terminal.show_table("Sources: the item's place among all that may be proposed", columns, rows)
    if item.ranked is not None:
        _show_contributions(terminal, item.ranked)
        if item.stage in ("reranked", "not shortlisted"):
            _show_lost(terminal, explanation, item.ranked)


def _conclusion(explanation: "Explanation", item: "ItemExplanation") -> str:
    if item.stage == "recommended":
        return _recommended(explanation, item)
    length = len(explanation.recommendations)
    events, days_ago = (item.viewed.events, item.viewed.days_ago) if item.viewed else (0, 0.0)
    begin, end = item.available_from or "ever", item.available_until or "ever"
    rank, candidates = (item.ranked.rank, item.ranked.candidates) if item.ranked else (None, None)
    place = f"place {rank} of {candidates} candidates"
    conclusions = {
        "viewed": "left out, the user has had it: " f"{_times(events)}, the last {days_ago:.1f} days before",
        "not listed": f"left out, it is not listed in the items table on {explanation.day}",
        "unavailable": f"left out, it is not available on the day: from {begin} until {end}",
        "excluded": "left out, scoring.exclude matches it",
        "removed by a rule": f"left out by the rule {item.rule!r}",
        "not proposed": "no candidate: no source proposes it",
        "not shortlisted": f"{place} by the first trees: not shortlisted",
        "reranked": f"reranked to {place}; the list has {length}",
        "outranked by a rule": f"{place}, and not in the list of {length}: {_rule(item.rule)} came first",
        "sold out": _sold_out(item),
    }
    return conclusions[item.stage]


def _recommended(explanation: "Explanation", item: "ItemExplanation") -> str:
    """Return where the item stands in the list, and what put it there where that is not its score alone."""
    listed = explanation.recommendations
    row = next(one for one in listed if one.item_id == item.item_id)
    by = "" if row.placed_by == "score" else f", {reason_of_place(row.placed_by, row.rule, row.propensity)}"
    return f"recommended at rank {row.rank} of {len(listed)}{by}"


def _sold_out(item: "ItemExplanation") -> str:
    """Return at which rank the item was sold out, and how many lists have it."""
    if item.sold_out is None:
        return "sold out"
    one = item.sold_out
    return f"sold out at rank {one.rank} by the rule {one.rule!r}: {one.rows:,} lists had it"


def _rule(name: str) -> str:
    return f"the rule {name!r}" if name else "a rule"


def reason_of_place(placed_by: str, rule: str, propensity: float | None) -> str:
    """Return what gave an item its place, other than its score, in words."""
    words = {
        "boost": "lifted",
        "pin": "pinned",
        "at_least": "taken for a minimum",
        "diversity": "taken for variety",
        "explore": "drawn by exploration",
        "quota": "moved up, as better ones had used up their quota",
    }
    by = f" by the rule {rule!r}" if rule else ""
    chance = "" if propensity is None else f" with a chance of {propensity:.3g}"
    return f"{words[placed_by]}{by}{chance}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _source_row(name: str, source: "ItemInSource") -> tuple[str, str, str, str, str]:
    rank = "none" if source.rank is None else f"{source.rank:,}"
    score = "none" if source.score is None else f"{source.score:.4g}"
    return name, rank, f"{source.needed:,}", score, "yes" if source.proposed else "no"


def _show_contributions(terminal: Terminal, item: "RankedItem") -> None:
    strongest = sorted(item.contributions.items(), key=lambda pair: -abs(pair[1]))
    most = max((abs(value) for _, value in strongest), default=0.0) or 1.0
    rows = [
        (f"{value:+.3f}", _bar(value / most), in_words(name, item.features[name]))
        for name, value in strongest[:_BARS]
    ]
    rest = sum(value for _, value in strongest[_BARS:])
    raw = item.base_value + sum(item.contributions.values())
    rows += [
        (f"{rest:+.3f}", "", f"{max(len(strongest) - _BARS, 0)} other features"),
        (f"{item.base_value:+.3f}", "", "base value"),
        (f"{raw:+.3f}", "", "raw score"),
    ]
    terminal.show_table("What the ranker's score is made of (SHAP)", ("adds", "", "feature"), rows)


def _bar(share: float) -> str:
    """Return a bar whose sign can be read without colour."""
    return ("▲" if share > 0 else "▼") * max(1, round(abs(share) * _LENGTH))


def _show_lost(terminal: Terminal, explanation: "Explanation", item: "RankedItem") -> None:
    lost = sorted(item.against.items(), key=lambda pair: pair[1])[:_LOST]
    rows = [(f"{value:+.3f}", in_words(name, item.features[name])) for name, value in lost if value < 0]
    last = explanation.recommendations[-1]
    title = f"Where it loses to the last of the list, {item_label(last.item_id, last.title)}"
    terminal.show_table(title, ("less", "feature"), rows)
