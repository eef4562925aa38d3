"""Parse days and durations strictly, count days, and find the start of a local day."""

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from recsys_cli.utils.errors import UsageError

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smh])", re.ASCII)


def parse_day(text: str, where: str = "--date") -> date:
    """Return the day that `text` gives as YYYY-MM-DD; `where` names the option for the error.

    Raises: UsageError for anything else, also for a day that does not exist.
    """
    try:
        if _ISO_DAY.fullmatch(text) is None:
            raise ValueError
        return date.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!a} is not a day",
            where=where,
            fix="give an existing day as YYYY-MM-DD, such as 2026-11-23",
        ) from None


def parse_duration(text: str, where: str) -> int:
    """Return the seconds that `text`, such as 90s, 30m or 2h, stands for.

    Raises: UsageError for anything but a whole number, from 1, of seconds, minutes or hours.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!a} is not a duration", where=where, fix="write it as 90s, 30m or 2h, without a sign"
        )
    return int(found[1]) * _SECONDS[found[2]]


def parse_instant(text: str | None) -> datetime | None:
    """Parse an instant of a run record; None stays None.

    Raises: ValueError or TypeError for anything else.
    """
    return None if text is None else datetime.fromisoformat(text)


def days_before(day: date, days: int, where: str) -> date:
    """Return the day so many days earlier; `where` names the options and settings for the error.

    Raises: UsageError where the calendar, which begins with the year 1, has no such day.
    """
    try:
        return day - timedelta(days=days)
    except OverflowError:
        raise UsageError(
            f"{days:,} days before {day} is beyond the calendar",
            where=where,
            fix="give a later --date, or fewer and shorter windows",
        ) from None


def days_after(day: date, days: int) -> date:
    """Return the day so many days later, or the last one of the calendar."""
    return day + timedelta(days=min(days, (date.max - day).days))


def day_start(day: date, timezone: str) -> datetime:
    """Return the first instant of the local `day`, in UTC without a zone: the cut for all events.

    Raises: UsageError for a day that begins before the year 1 in UTC.
    """
    try:
        start = datetime.combine(day, time.min, tzinfo=ZoneInfo(timezone)).astimezone(UTC)
    except OverflowError:
        raise UsageError(
            f"{day} in {timezone} begins before the calendar does", where="--date", fix="give a later day"
        ) from None
    return start.replace(tzinfo=None)
