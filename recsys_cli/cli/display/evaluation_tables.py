"""Evaluation results on a terminal: who won, by how much, and which stage to improve."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from recsys_cli.cli.display.terminal import Terminal

if TYPE_CHECKING:
    from recsys_cli.models.evaluation.evaluation_summary import Comparison, EvaluationSummary, Measures
    from recsys_cli.models.evaluation.list_summary import DiversityCurve, FewerRules, RulesSummary

MEASURES = (
    "NDCG",
    "MAP",
    "Recall",
    "HitRate",
    "MRR",
    "CatalogCoverage",
    "MeanInvUserFreq",
    "IntraListDiversity",
)
_OF_RULES = ("NDCG", "CatalogCoverage", "GiniOfExposure", "TopItemShare")
_OF_DIVERSITY = ("NDCG", "IntraListDiversity", "CatalogCoverage", "TopItemShare")
_SHORT = {
    "CatalogCoverage": "coverage",
    "MeanInvUserFreq": "novelty",
    "IntraListDiversity": "diversity",
    "GiniOfExposure": "Gini",
    "TopItemShare": "top item",
}


def show_models(terminal: Terminal, summary: "EvaluationSummary", title: str) -> None:
    """Show each contestant's measures, the differences and the segments."""
    from recsys_cli.models.evaluation.evaluation_summary import popularity_figure

    k = summary.k
    show_measures(terminal, summary.models, k, title)
    show_comparisons(terminal, summary.comparisons, "The two stages against the best of the others")
    names = f"NDCG@{k}", popularity_figure(k)
    segments = [
        (name, f"{segment.users:,}", *(_figure(segment.figure(one)) for one in names))
        for name, segment in summary.segments.items()
    ]
    terminal.show_table(f"NDCG@{k} by segment", ("users with", "users", "two stages", "popularity"), segments)


def show_measures(
    terminal: Terminal,
    models: Mapping[str, "Measures"],
    k: int,
    title: str,
    measures: Sequence[str] = MEASURES,
) -> None:
    """Show some measures at k of each contestant."""
    rows = [(name, *(f"{figures[f'{one}@{k}']:.4f}" for one in measures)) for name, figures in models.items()]
    terminal.show_table(title, ("model", *(_SHORT.get(one, one) for one in measures)), rows)


def show_comparisons(terminal: Terminal, comparisons: Sequence["Comparison"], title: str) -> None:
    """Show differences between the two stages and another, with their intervals."""
    rows = [
        (one.metric, one.against, f"{one.difference:+.4f}", f"{one.low:+.4f} … {one.high:+.4f}")
        for one in comparisons
    ]
    terminal.show_table(title, ("measure", "against", "difference", "95 % interval"), rows)


def show_budget(terminal: Terminal, summary: "EvaluationSummary") -> None:
    """Show the stage budget: what the candidates allow, what each source adds, what the ranker achieves."""
    budget = summary.budget
    rows = [(name, f"{share.recall:.1%}", f"{share.alone:.1%}") for name, share in budget.by_source.items()]
    rows.append(("all candidates", f"{budget.candidate_recall:.1%}", ""))
    terminal.show_table(
        "Stage budget: share of the relevant pairs that a source proposes",
        ("source", "share", "it alone"),
        rows,
    )
    terminal.say(
        f"the ranker reaches {budget.ranker_share:.1%} of the hits that the best order of its candidates has"
    )


def show_rules(terminal: Terminal, summary: "RulesSummary", k: int) -> None:
    """Show the lists with all rules, without any and without each, and what was not evaluated."""
    whole = [f"{summary.all_rules[f'{one}@{k}']:.4f}" for one in _OF_RULES]
    rows = [("all rules", *whole, ""), ("no rule", *_beside(summary.no_rule, k))]
    rows += [(f"without {one.rule}", *_beside(one, k)) for one in summary.without if one.note is None]
    terminal.show_table(
        f"The two stages' lists of {k} by rule (difference from all rules), on the same users",
        ("lists", *(_SHORT.get(one, one) for one in _OF_RULES), "95 % interval of NDCG's difference"),
        rows,
    )
    for rule in summary.without:
        if rule.note is not None:
            terminal.show_line(f"{rule.rule} counts as a rule without effect: {rule.note}.")


def show_diversity(terminal: Terminal, curve: "DiversityCurve") -> None:
    """Show the lists by the value of scoring.diversity."""
    rows = [
        (f"{point.diversity:g}", *(f"{point.measures[f'{one}@{curve.k}']:.4f}" for one in _OF_DIVERSITY))
        for point in curve.points
    ]
    names = [_SHORT.get(one, one) for one in _OF_DIVERSITY]
    terminal.show_table(f"Lists of {curve.k} by scoring.diversity (by {curve.by})", ("value", *names), rows)


def _beside(lists: "FewerRules", k: int) -> list[str]:
    """Return the measures of lists with fewer rules, each with its difference, and NDCG's interval."""
    names = [f"{one}@{k}" for one in _OF_RULES]
    figures = [f"{lists.measures[name]:.4f} ({lists.differences[name]:+.4f})" for name in names]
    return [*figures, f"{lists.ndcg.low:+.4f} … {lists.ndcg.high:+.4f}"]


def _figure(value: float | None) -> str:
    return "–" if value is None else f"{value:.4f}"
