"""How a verdict looks on a terminal: who won, by how much, and which stage to mend."""

from collections.abc import Mapping
from typing import Any

from recsys_cli.cli.terminal import Terminal

_SHOWN = (
    "NDCG",
    "MAP",
    "Recall",
    "HitRate",
    "MRR",
    "CatalogCoverage",
    "MeanInvUserFreq",
    "IntraListDiversity",
)
_SHORT = {"CatalogCoverage": "coverage", "MeanInvUserFreq": "novelty", "IntraListDiversity": "diversity"}


def show_models(terminal: Terminal, facts: Mapping[str, Any], title: str) -> None:
    """Show each contestant's measures, the differences and the segments."""
    k = facts["k"]
    rows = [
        (name, *(f"{measures[f'{one}@{k}']:.4f}" for one in _SHOWN))
        for name, measures in facts["models"].items()
    ]
    terminal.show_table(title, ("model", *(_SHORT.get(one, one) for one in _SHOWN)), rows)
    differences = [
        (
            one["metric"],
            one["against"],
            f"{one['difference']:+.4f}",
            f"{one['low']:+.4f} … {one['high']:+.4f}",
        )
        for one in facts["comparisons"]
    ]
    columns = ("measure", "against", "difference", "95 % interval")
    terminal.show_table("The two stages against the best of the others", columns, differences)
    segments = [
        (name, f"{told['users']:,}", *(_figure(told[f"NDCG@{k}{of}"]) for of in ("", " of popularity")))
        for name, told in facts["segments"].items()
    ]
    terminal.show_table(f"NDCG@{k} by segment", ("users with", "users", "two stages", "popularity"), segments)


def show_budget(terminal: Terminal, facts: Mapping[str, Any]) -> None:
    """Show the stage budget: what the candidates allow, what each source adds, what the ranker made of it."""
    budget = facts["budget"]
    rows = [
        (name, f"{told['recall']:.1%}", f"{told['alone']:.1%}") for name, told in budget["by_source"].items()
    ]
    rows.append(("all candidates", f"{budget['candidate_recall']:.1%}", ""))
    terminal.show_table(
        "Stage budget: share of the relevant pairs that a source proposes",
        ("source", "share", "it alone"),
        rows,
    )
    terminal.say(
        f"of the hits in the best order of the candidates the ranker made {budget['ranker_share']:.1%}"
    )


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
