"""Warnings of a run about its lists: those that are empty, and rules that could not be met."""

from loguru import logger

from recsys_cli.models.candidates.registry import sources_on
from recsys_cli.models.postprocessing.exploration import explored_places
from recsys_cli.models.postprocessing.list_settings import ListSettings
from recsys_cli.pipelines.scoring.job import Job
from recsys_cli.pipelines.scoring.statistics import ScoreCounts
from recsys_cli.utils.columns import ELIGIBLE

_LEAST_EXPLORED = 0.5  # of what is drawn
_REMOVING = ("block", "require", "cooldown", "quota")  # actions that can leave a user without any item


def warn_of_lists(job: Job, counts: ScoreCounts) -> None:
    """Log how many users have no list and why, and for how many users each rule could not be met."""
    if counts.empty_lists:
        logger.warning("{} of {} users have no list: {}", counts.empty_lists, counts.users, _why_no_list(job))
    asked = job.lists.asked
    if asked is not None:
        _warn_of_exploration(asked.settings, counts)
    for number, rule in enumerate(asked.settings.rules if asked is not None else ()):
        if counts.unmet[number]:
            of_ranked = "" if job.reused is None else ", those alone counted who were ranked again"
            logger.warning(
                "rule {!r} ({}) could not be met for {} of {} users{}",
                rule.name,
                rule.action,
                counts.unmet[number],
                counts.users,
                of_ranked,
            )


def _warn_of_exploration(settings: ListSettings, counts: ScoreCounts) -> None:
    """Log that few of the draws of exploration are in the lists."""
    drawn = counts.users * explored_places(settings.explore, settings.top_k)
    if counts.explored < _LEAST_EXPLORED * drawn:
        logger.warning(
            "exploration drew {:,} items and {:,} of them are in the lists: users have had the others, or "
            "rules keep them out; widen scoring.explore_items",
            drawn,
            counts.explored,
        )


def _why_no_list(job: Job) -> str:
    """Return why users have no list, where some have none."""
    if not job.partition.features.items[ELIGIBLE].any():
        return "no item may be recommended on the date"
    if job.lists.asked is None:
        stage = job.bundle.model.stage
        on = sources_on(stage.settings, filter_viewed=stage.only_new_items)
        more = "" if any(one.is_popularity for one in on) else "; popular ones would"
        return f"no source that is on proposes them an item that is new to them{more}"
    # with rules, lists that no source fills get the popular items that are allowed
    day, rules = job.day.date, job.lists.asked.settings.rules
    removing = [rule for rule in rules if rule.action in _REMOVING and rule.holds_on(day)]
    if not removing:
        return "they have had every item that may be recommended"
    names = ", ".join(f"{rule.name!r} ({rule.action})" for rule in removing)
    return f"rules leave them no item that is new to them: {names}"
