"""What `recsys score` shows of a run on a terminal, and what it and `recsys train` show of a plan."""

from typing import Any

from recsys_cli.cli.display.phrases import explain_command
from recsys_cli.cli.display.terminal import Terminal


def show_score(terminal: Terminal, told: dict[str, Any], stages: list[tuple[str, str, str]]) -> None:
    """Show what a run did and how long its stages took."""
    shares = ", ".join(f"{name} {share:.0%}" for name, share in told["share_by_source"].items())
    rows = [
        ("model", told["model_version"]),
        ("users", f"{told['users']:,} ({told['warm_users']:,} warm, {told['cold_users']:,} cold)"),
        ("candidates", f"{told['candidates']:,}"),
        ("recommendations", f"{told['rows']:,}"),
        ("share by source", f"{shares} (a row may have several)"),
        ("catalogue coverage", f"{told['catalogue_coverage']:.1%} ({told['items']:,} items)"),
        *_index_row(told),
        *_since_row(told),
        ("publish gates", _gates(told["gates"])),
        ("short lists", f"{told['short_lists']:,} users, {told['empty_lists']:,} of them without any item"),
    ]
    terminal.show_table(f"Recommendations of {told['date']}", ("what", "figure"), rows)
    terminal.show_table("Stages", ("stage", "seconds", "peak so far"), stages)
    terminal.say(f"→ {told['published']}")
    terminal.say(f"next: {explain_command(told['example_user'], told['date'])}")


def _since_row(told: dict[str, Any]) -> list[tuple[str, str]]:
    since = told.get("changed_since")
    if since is None:
        return []
    if since["all_ranked_because"]:
        return [(f"since {since['date']}", f"all users are ranked: {since['all_ranked_because']}")]
    sample = since["sample"]
    kept = told["users"] - since["changed"]
    ranked = f"{since['changed']:,} users are ranked, {kept:,} keep their lists"
    differing = f"of {sample['users']:,} of these {sample['differing']:.1%} differ from a full run's"
    return [(f"since {since['date']}", f"{ranked}; {differing}, overlap {sample['overlap']:.3f}")]


def show_plan(terminal: Terminal, plan: dict[str, Any]) -> None:
    """Show what a run will take."""
    rows = [
        ("users", f"{plan['users']:,}"),
        *_needs(plan),
        ("users a chunk", f"{plan['chunk_users']:,}"),
        ("sampled", f"{plan['sampled_users']:,} users"),
    ]
    terminal.show_table(f"Plan of {plan['date']}: nothing was published", ("what", "figure"), rows)
    terminal.say(f"next: recsys score --date {plan['date']}")


def show_training_plan(terminal: Terminal, plan: dict[str, Any]) -> None:
    """Show what a training will take."""
    rows = [
        ("users", f"{plan['users']:,}"),
        *_needs(plan),
        ("ranker rows", f"{plan['rows']:,}"),
        ("ranker iterations", f"{plan['iterations']:,}, of all members"),
        ("LightFM fits side by side", f"{plan['lightfm_fits']}"),
        ("sampled", f"{plan['sampled_users']:,} users"),
    ]
    terminal.show_table(f"Plan of {plan['date']}: nothing was trained", ("what", "figure"), rows)
    terminal.say(f"next: recsys train --date {plan['date']}")


def _needs(plan: dict[str, Any]) -> list[tuple[str, str]]:
    return [
        ("seconds", f"{plan['seconds']:.1f}"),
        ("peak memory", f"{plan['peak_bytes'] / 1e9:.2f} GB"),
        ("disk", f"{plan['disk_bytes'] / 1e6:.1f} MB"),
    ]


def _gates(figures: dict[str, float]) -> str:
    """Return what the publish gates were shown, as text."""
    named = {name.partition("_")[2].replace("_", " "): figure for name, figure in figures.items()}
    return "hold: " + ", ".join(f"{name} {figure:,.10g}" for name, figure in named.items())


def _index_row(told: dict[str, Any]) -> list[tuple[str, str]]:
    if "index_recall" not in told:
        return []
    return [("recall of the index", f"{told['index_recall']:.4f} of the exact lists")]
