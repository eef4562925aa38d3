"""How old the inputs may be: first a warning, later an error."""

from datetime import date

from recsys_cli.configs.data_sections import DataSettings
from recsys_cli.data_preparation.tables.problems import Problem, raise_or_warn


def freshness_problems(age_days: float, settings: DataSettings, day: date) -> list[Problem]:
    """Report that the newest event before `day` is older than the settings allow."""
    if age_days <= settings.max_age_days:
        return []
    refused = age_days > settings.stale_after_days
    key = "stale_after_days" if refused else "max_age_days"
    limit = getattr(settings, key)
    return [
        Problem(
            f"data.{key}",
            f"the newest event before {day} is {age_days:.1f} days old, the limit is {limit}",
            "deliver newer interactions, choose an earlier --date, run once with --accept-inputs, or raise "
            "the limit",
            "error" if refused else "warning",
        )
    ]


def check_freshness(age_days: float, settings: DataSettings, day: date) -> None:
    """Log a warning for old inputs.

    Raises: InputError if they are too old.
    """
    raise_or_warn(freshness_problems(age_days, settings, day))
