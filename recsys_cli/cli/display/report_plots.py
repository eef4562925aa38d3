"""The report's pictures: SVG that stands inside a page, with colours that do not carry the meaning alone."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

if TYPE_CHECKING:
    from recsys_cli.models.evaluation.list_summary import DiversityCurve
    from recsys_cli.pipelines.monitoring.past_performance import PastPerformance
    from recsys_cli.pipelines.publication.statistics import CurvePoint, ScoreHistogram
    from recsys_cli.pipelines.report import HistoryRow, Report

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


def plots_of(report: "Report") -> dict[str, str]:
    """Return, by name, the SVG of each picture that the report's figures allow."""
    with mpl.rc_context(_STYLE):
        pictures = {
            "past": _past(report.past) if report.past else None,
            "curve": _curve(report.popularity_curve) if report.lists.rows else None,
            "scores": _scores(report.scores) if report.scores.edges else None,
            "sources": _sources(report.sources) if report.sources else None,
            "history": _history(report.history) if len(report.history) > 1 else None,
            "diversity": _diversity(report.diversity.curve) if report.diversity is not None else None,
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


def _past(past: Sequence["PastPerformance"]) -> Figure:
    figure, axes = _axes()
    positions = range(len(past))
    ours = [one.ndcg for one in past]
    spread = [[one.mean - one.low for one in ours], [one.high - one.mean for one in ours]]
    axes.errorbar(
        positions, [one.mean for one in ours], spread, fmt="o", color=_BLUE, capsize=4, label="lists"
    )
    rivals = [
        (position, one.popularity.ndcg) for position, one in enumerate(past) if one.popularity is not None
    ]
    if rivals:
        axes.plot(*zip(*rivals, strict=True), "s", color=_ORANGE, fillstyle="none", label="recent popularity")
    axes.set_xticks(positions, [str(one.day) for one in past], rotation=30, ha="right")
    axes.set_xlim(-0.5, len(past) - 0.5)
    axes.set_ylim(bottom=0)
    axes.set_ylabel(past[0].ndcg_name)
    axes.legend(frameon=False)
    return figure


def _curve(points: Sequence["CurvePoint"]) -> Figure:
    figure, axes = _axes()
    items = [point.items for point in points]
    axes.plot(items, [point.rows for point in points], "o-", color=_BLUE, label="these lists")
    axes.plot([0, 1], [0, 1], "--", color=_GREY, label="all items alike")
    axes.xaxis.set_major_formatter(PercentFormatter(1))
    axes.yaxis.set_major_formatter(PercentFormatter(1))
    axes.set_xlabel("items that may be recommended, the most frequent first")
    axes.set_ylabel("share of all rows")
    axes.legend(frameon=False, loc="lower right")
    return figure


def _scores(scores: "ScoreHistogram") -> Figure:
    figure, axes = _axes()
    edges = scores.edges
    axes.stairs(scores.shares, edges, fill=True, color=_BLUE, alpha=0.35, label="these lists")
    if scores.shares_before is not None:
        axes.stairs(scores.shares_before, edges, color=_ORANGE, linestyle="--", label="the lists before")
    axes.set_xscale(scores.scale)
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


def _history(rows: Sequence["HistoryRow"]) -> Figure:
    figure = Figure(figsize=(_SIZE[0], 4.6))
    panels: Sequence[tuple[str, Callable[["HistoryRow"], float | None]]] = (
        ("users", lambda row: row.users),
        ("coverage", lambda row: row.catalogue_coverage),
        ("overlap", lambda row: row.overlap),
        ("seconds", lambda row: row.seconds),
    )
    positions = range(len(rows))
    for number, (label, read) in enumerate(panels):
        axes = figure.add_subplot(len(panels), 1, number + 1)
        values = [_or_nan(read(row)) for row in rows]
        axes.plot(positions, values, "o-", color=_BLUE, markersize=4)
        axes.set_ylabel(label, rotation=0, ha="right", va="center")
        axes.yaxis.set_label_coords(-0.14, 0.5)
        axes.set_xlim(-0.5, len(rows) - 0.5)
        axes.set_ylim(0, 1.2 * max([one for one in values if not math.isnan(one)] or [1]) or 1)
        axes.set_xticks(positions, [row.date for row in rows] if number + 1 == len(panels) else [])
    axes.tick_params(axis="x", rotation=45)
    return figure


def _diversity(curve: "DiversityCurve") -> Figure:
    figure, axes = _axes()
    ndcg, variety = f"NDCG@{curve.k}", f"IntraListDiversity@{curve.k}"
    points = [(one.measures[variety], one.measures[ndcg]) for one in curve.points]
    axes.plot(*zip(*points, strict=True), "o-", color=_BLUE)
    for one, point in zip(curve.points, points, strict=True):
        axes.annotate(f"{one.diversity:g}", point, xytext=(5, 5), textcoords="offset points", color=_GREY)
    axes.set_ylim(bottom=0)
    axes.set_xlabel("diversity in a list: mean distance between two of its items")
    axes.set_ylabel(ndcg)
    return figure


def _or_nan(value: float | None) -> float:
    return math.nan if value is None else value
