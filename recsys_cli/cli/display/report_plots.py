"""The report's pictures: SVG that stands inside a page, with colours that do not carry the meaning alone."""

import io
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

_BLUE: Final = "#0072b2"  # of the palette of Okabe and Ito (2008), which the colour-blind can tell apart
_ORANGE: Final = "#d55e00"
_GREY: Final = "#6b7280"
_STYLE: Final[dict[Any, Any]] = {
    "svg.fonttype": "none",  # text stays text
    "svg.hashsalt": "recsys",  # the same figures give the same bytes
    "font.family": "sans-serif",
    "font.size": 11,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e5e7eb",
    "axes.axisbelow": True,
}
_NO_METADATA: Final = dict.fromkeys(("Date", "Creator", "Format", "Type"))
_SIZE: Final = (5.0, 3.0)  # inches: small enough that a phone need not shrink the text


def plots_of(told: Mapping[str, Any]) -> dict[str, str]:
    """Return, by name, the SVG of each picture that the report's figures allow."""
    with mpl.rc_context(_STYLE):
        pictures = {
            "cards": _cards(told["cards"]) if told["cards"] else None,
            "curve": _curve(told["popularity_curve"]) if told["lists"]["rows"] else None,
            "scores": _scores(told["scores"]) if told["scores"]["edges"] else None,
            "sources": _sources(told["sources"]) if told["sources"] else None,
            "history": _history(told["history"]) if len(told["history"]) > 1 else None,
        }
        return {name: _svg(figure) for name, figure in pictures.items() if figure is not None}


def _svg(figure: Figure) -> str:
    """Return the picture without the head that would name a document type elsewhere."""
    file = io.StringIO()
    figure.savefig(file, format="svg", bbox_inches="tight", metadata=_NO_METADATA)
    text = file.getvalue()
    return text[text.index("<svg") :].replace("<svg ", '<svg aria-hidden="true" focusable="false" ', 1)


def _axes(height: float = _SIZE[1]) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(_SIZE[0], height))
    return figure, figure.add_subplot()


def _cards(cards: Sequence[Mapping[str, Any]]) -> Figure:
    figure, axes = _axes()
    measure = f"NDCG@{cards[0]['k']}"
    places = range(len(cards))
    ours = [card["measures"][f"NDCG@{card['k']}"] for card in cards]
    spread = [
        [one["mean"] - one["low"] for one in ours],
        [one["high"] - one["mean"] for one in ours],
    ]
    axes.errorbar(
        places, [one["mean"] for one in ours], spread, fmt="o", color=_BLUE, capsize=4, label="lists"
    )
    rivals = [
        (place, card["popularity"][f"NDCG@{card['k']}"])
        for place, card in enumerate(cards)
        if card["popularity"]
    ]
    if rivals:
        axes.plot(*zip(*rivals, strict=True), "s", color=_ORANGE, fillstyle="none", label="recent popularity")
    axes.set_xticks(places, [card["date"] for card in cards], rotation=30, ha="right")
    axes.set_xlim(-0.5, len(cards) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(measure)
    axes.legend(frameon=False)
    return figure


def _curve(points: Sequence[Mapping[str, float]]) -> Figure:
    figure, axes = _axes()
    items = [point["items"] for point in points]
    axes.plot(items, [point["rows"] for point in points], "o-", color=_BLUE, label="these lists")
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="all items alike")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("items that may be recommended, the most frequent first")
    axes.set_ylabel("share of all rows")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _scores(scores: Mapping[str, Any]) -> Figure:
    figure, axes = _axes()
    edges = scores["edges"]
    axes.stairs(scores["shares"], edges, fill=True, color=_BLUE, alpha=0.35, label="these lists")
    if scores["shares_before"] is not None:
        axes.stairs(scores["shares_before"], edges, color=_ORANGE, linestyle="--", label="the lists before")
    axes.set_xscale(scores["scale"])
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("score")
    axes.set_ylabel("share of rows")
    axes.legend(frameon=False)
    return figure


def _sources(sources: Mapping[str, float]) -> Figure:
    ordered = sorted(sources.items(), key=lambda one: one[1])
    figure, axes = _axes(0.6 + 0.32 * len(ordered))
    bars = axes.barh([name for name, _ in ordered], [share for _, share in ordered], color=_BLUE)
    axes.bar_label(bars, [f"{share:.0%}" for _, share in ordered], padding=3)
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlim(0, 1.08)
    axes.grid(axis="y", visible=False)
    axes.set_xlabel("share of rows that it proposed, with others or alone")
    return figure


def _history(rows: Sequence[Mapping[str, Any]]) -> Figure:
    figure = Figure(figsize=(_SIZE[0], 4.6))
    panels = (
        ("users", "users"),
        ("catalogue_coverage", "coverage"),
        ("overlap", "overlap"),
        ("seconds", "seconds"),
    )
    places = range(len(rows))
    for number, (key, label) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, number + 1)
        values = [float("nan") if row[key] is None else row[key] for row in rows]
        axes.plot(places, values, "o-", color=_BLUE, markersize=4)
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
        axes.yaxis.set_label_coords(-0.14, 0.5)
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.set_ylim(0, 1.2 * max([one for one in values if not math.isnan(one)] or [1]) or 1)
        axes.set_xticks(places, [row["date"] for row in rows] if number + 1 == len(panels) else [])
    axes.tick_params(axis="x", rotation=45)
    return figure
