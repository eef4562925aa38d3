"""What rules did to the lists of a run, as a table: `recsys score` and `recsys report` show the same."""

from typing import TYPE_CHECKING

from recsys_cli.cli.display.terminal import Terminal

if TYPE_CHECKING:
    from recsys_cli.pipelines.publication.manifest import RulesRecord

Row = tuple[str, ...]

RULE_COLUMNS = ("rule", "action", "rows", "unmet", "lists changed", "rows changed", "cost")


def show_rules(terminal: Terminal, record: "RulesRecord | None") -> None:
    """Show what each rule did, and what exploration drew; nothing where nothing came behind the ranker."""
    if record is None:
        return
    if record.rules or record.changed_lists:
        terminal.show_table(rules_title(record), RULE_COLUMNS, rule_rows(record))
    if record.drawn_places:
        terminal.show_line(explored_line(record))


def rules_title(record: "RulesRecord") -> str:
    """Return the title of the table: how many users the changes and costs were measured on."""
    if not record.sample:
        return "Rules"
    what = "Rules" if record.rules else "Variety and exploration"
    return f"{what}: changes and cost in expected takes, in a sample of {record.sample:,} users"


def rule_rows(record: "RulesRecord") -> list[Row]:
    """Return a row a rule, and one of all together, in the order of `RULE_COLUMNS`."""
    rows: list[Row] = [
        (
            rule.name,
            rule.action,
            f"{rule.rows:,}",
            f"{rule.unmet:,} users" if rule.unmet else "0",
            _share(rule.changed_lists),
            _share(rule.changed_rows),
            cost_text(rule.cost),
        )
        for rule in record.rules
    ]
    together = _share(record.changed_lists), _share(record.changed_rows), cost_text(record.cost)
    return [*rows, ("all together", "", "", "", *together)]


def explored_line(record: "RulesRecord") -> str:
    """Return how many of the drawn places exploration could fill."""
    return (
        f"Exploration: {record.explored:,} rows of {record.drawn_places:,} drawn places; "
        "score fills the place of an item that the user may not get."
    )


def cost_text(cost: float | None) -> str:
    """Return a share of the expected takes as per cent; below 0: a rule that adds some."""
    if cost is None:
        return "–"
    text = f"{cost:.2%}"
    return "0.00%" if text == "-0.00%" else text


def _share(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
