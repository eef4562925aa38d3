"""Days and durations as people write them, read strictly; a scoring day is a half-open local day."""

import re
from datetime import UTC, date, datetime, time
from zoneinfo import ZoneInfo

from recsys_cli.utils.errors import UsageError

_ISO_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smh])", re.ASCII)


def parse_day(text: str, where: str = "--date") -> date:
    """Return the day that `text`, given as `where`, names as YYYY-MM-DD.

    Raises: UsageError for anything else, a day that does not exist included.
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
    """Return the seconds that `text` names.

    Raises: UsageError for anything but a whole number, from 1 on, of seconds, minutes or hours.
    """
    found = _DURATION.fullmatch(text)
    if found is None:
        raise UsageError(
            f"{text!a} is not a duration", where=where, fix="write it as 90s, 30m or 2h, without a sign"
        )
    return int(found[1]) * _SECONDS[found[2]]


def parse_instant(text: str | None) -> datetime | None:
    """Return the instant that a run's record names; None for none.

    Raises: ValueError or TypeError for anything else.
    """
    return None if text is None else datetime.fromisoformat(text)


def day_start(day: date, timezone: str) -> datetime:
    """Return the first instant of the local `day`, in UTC and without a zone: the cut of everything."""
    return datetime.combine(day, time.min, tzinfo=ZoneInfo(timezone)).astimezone(UTC).replace(tzinfo=None)
