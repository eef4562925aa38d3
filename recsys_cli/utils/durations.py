"""Durations as people write them: 90s, 30m, 2h."""

import re

from recsys_cli.utils.errors import UsageError

_SECONDS = {"s": 1, "m": 60, "h": 3_600}
_DURATION = re.compile(r"([1-9][0-9]{0,5})([smh])", re.ASCII)


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
