"""The report as one HTML file: it loads nothing, and foreign text stays text."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from recsys_cli.cli.display.phrases import in_digits
from recsys_cli.cli.display.rule_tables import cost_text, explored_line, rules_title
from recsys_cli.cli.display.safe_text import escaped
from recsys_cli.utils.library_imports import in_folder_of
from recsys_cli.utils.storage.atomic_writes import replacing

if TYPE_CHECKING:
    from recsys_cli.pipelines.report import Report


def write_page(report: "Report", target: Path) -> None:
    """Write the page of a report, whole or not at all.

    Raises: OutputError.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)  # on a home that it cannot write
    with in_folder_of("matplotlib", "mpl-data"):  # its own settings lie there
        from recsys_cli.cli.display.report_plots import plots_of

    pages = Environment(
        loader=PackageLoader("recsys_cli.cli", "pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    pages.filters |= {
        "seen": _seen,
        "figure": _figure,
        "whole": _whole,
        "percent": _percent,
        "digits": in_digits,
        "cost": cost_text,
        "rules_title": rules_title,
        "explored": explored_line,
    }
    page = pages.get_template("report.html").render(report=report, plots=plots_of(report))
    with replacing(target) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")


def _seen(value: Any) -> str:
    """Return foreign text with its invisible characters written out."""
    return escaped(str(value))


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"


def _whole(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
