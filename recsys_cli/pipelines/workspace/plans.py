"""Stored plans: what a run was expected to take, and what it took."""

from pathlib import Path
from typing import Protocol, TypeVar

from loguru import logger

from recsys_cli.utils.json_record import Count, JsonRecord, Seconds
from recsys_cli.utils.stage_timer import peak_bytes, process_seconds
from recsys_cli.utils.storage.json_files import read_sealed_json


class Plan(Protocol):
    """What a run will take: seconds of the whole process, and bytes of memory."""

    @property
    def key(self) -> str:
        """A hash of all that decides the run."""

    @property
    def seconds(self) -> float:
        """Of the whole process."""

    @property
    def peak_bytes(self) -> int:
        """Of memory."""


class PlanOutcome(JsonRecord):
    """What was predicted beside what the process took."""

    predicted_seconds: Seconds
    seconds: Seconds
    predicted_peak_bytes: Count
    peak_bytes: Count


Stored = TypeVar("Stored", bound=JsonRecord)


def read_plan(file: Path, kind: type[Stored]) -> Stored | None:
    """Return a stored plan, None where there is none."""
    try:
        return kind.read(read_sealed_json(file))
    except (OSError, ValueError):
        return None


def outcome_of(plan: Plan) -> PlanOutcome:
    """Return what was predicted beside what this process took so far, and log it."""
    seconds, peak = round(process_seconds(), 2), peak_bytes()
    logger.info(
        "planned {} s and {} bytes; took {} s and {} bytes", plan.seconds, plan.peak_bytes, seconds, peak
    )
    return PlanOutcome(
        predicted_seconds=plan.seconds,
        seconds=seconds,
        predicted_peak_bytes=plan.peak_bytes,
        peak_bytes=peak,
    )
