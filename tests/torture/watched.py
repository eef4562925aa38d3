"""The calls of a scoring run that goes well, in words."""

import re

from tests.torture.syscalls import Call, can_watch


def cannot_watch() -> str:
    """Return why system calls cannot be watched here; empty where they can."""
    return "" if can_watch() else "needs Linux on x86-64"


def named(call: Call) -> str:
    """Return a call in words that are the same in every run."""
    path = re.sub(r"\b\d{8}T\d{6}-score-\w+", "RUN", call.path.partition("/workspace/")[2])
    path = re.sub(r"\.\d+(-[0-9a-f]{8})?\.(?=part|old)", ".N.", path)
    path = re.sub(r"(?<=probe-)[0-9a-f]{16}", "N", path)
    return f"{call.kind} {call.nth} (call {call.number}) of {path}"
