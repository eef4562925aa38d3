"""`recsys explain --item`: why one item is in a list, or why not."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from recsys_cli.cli.display.phrases import in_words, named
from recsys_cli.cli.display.terminal import Terminal

if TYPE_CHECKING:
    from recsys_cli.pipelines.explain import Explanation

_BARS = 12
_LOST = 5
_LENGTH = 20  # of the longest bar, in characters


def show_item(terminal: Terminal, told: "Explanation") -> None:
    """Show the stage that decided, and what it decided by."""
    assert told.item is not None
    for difference in told.differences:
        terminal.warn(difference)
    terminal.show_line(f"{named(told.item)}, for user {told.user_id} on {told.day}: {_verdict(told)}")
    rows = [_source_row(name, source) for name, source in told.item["sources"].items()]
    columns = ("source", "place", "needed", "score", "proposed")
    terminal.show_table("Sources: the item's place among all that may be proposed", columns, rows)
    if "contributions" in told.item:
        _show_contributions(terminal, told.item)
    if told.item["stage"] in ("reranked", "not shortlisted"):
        _show_lost(terminal, told)


def _verdict(told: "Explanation") -> str:
    item = told.item or {}
    viewed, places = item["viewed"] or {"events": 0, "days_ago": 0.0}, len(told.recommendations)
    begin, end = (item[side] or "ever" for side in ("available_from", "available_until"))
    place = f"place {item.get('rank')} of {item.get('candidates')} candidates"
    verdicts = {
        "viewed": "left out, the user has had it: "
        f"{_times(viewed['events'])}, the last {viewed['days_ago']:.1f} days before",
        "unavailable": f"left out, it is not available on the day: from {begin} until {end}",
        "excluded": "left out, scoring.exclude matches it",
        "not proposed": "no candidate, for no source proposes it",
        "not shortlisted": f"{place} by the first trees: not shortlisted",
        "reranked": f"reranked to {place}; the list has {places}",
        "recommended": f"recommended at rank {item.get('rank')} of {places}",
    }
    return verdicts[item["stage"]]


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"


def _source_row(name: str, source: Mapping[str, Any]) -> tuple[str, str, str, str, str]:
    place = "none" if source["rank"] is None else f"{source['rank']:,}"
    score = "none" if source["score"] is None else f"{source['score']:.4g}"
    return name, place, f"{source['needed']:,}", score, "yes" if source["proposed"] else "no"


def _show_contributions(terminal: Terminal, item: Mapping[str, Any]) -> None:
    strongest = sorted(item["contributions"].items(), key=lambda pair: -abs(pair[1]))
    most = max((abs(value) for _, value in strongest), default=0.0) or 1.0
    rows = [
        (f"{value:+.3f}", _bar(value / most), in_words(name, item["features"][name]))
        for name, value in strongest[:_BARS]
    ]
    rest = sum(value for _, value in strongest[_BARS:])
    raw = item["base_value"] + sum(item["contributions"].values())
    rows += [
        (f"{rest:+.3f}", "", f"{max(len(strongest) - _BARS, 0)} other features"),
        (f"{item['base_value']:+.3f}", "", "base value"),
        (f"{raw:+.3f}", "", "raw score"),
    ]
    terminal.show_table("What the ranker's score is made of (SHAP)", ("adds", "", "feature"), rows)


def _bar(share: float) -> str:
    """Return a bar whose sign can be read without colour."""
    return ("▲" if share > 0 else "▼") * max(1, round(abs(share) * _LENGTH))


def _show_lost(terminal: Terminal, told: "Explanation") -> None:
    assert told.item is not None
    lost = sorted(told.item["against"].items(), key=lambda pair: pair[1])[:_LOST]
    rows = [
        (f"{value:+.3f}", in_words(name, told.item["features"][name])) for name, value in lost if value < 0
    ]
    last = told.recommendations[-1]
    title = f"Where it loses to the last of the list, {named(last)}"
    terminal.show_table(title, ("less", "feature"), rows)
