"""Input gates: how a day's inputs compare with what the last runs read, and with their own history."""

from collections.abc import Iterator
from dataclasses import replace
from math import inf

from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.data_preparation.tables.input_figures import InputFigures
from recsys_cli.pipelines.monitoring.input_event_gates import event_gates
from recsys_cli.pipelines.monitoring.input_gate import InputGate, Past
from recsys_cli.pipelines.monitoring.input_table_gates import table_gates

_ANY_SHARE = dict.fromkeys(
    ("max_repeats", "max_user_share", "max_item_share"), 1.0
)  # the accepted one is the bound


def input_gates(
    today: InputFigures, past: Past, accepted: InputFigures | None, settings: InputGatesSettings
) -> list[InputGate]:
    """Return every gate of the inputs; one that `accepted` figures would hold counts by these.

    A pure function of figures: no table is read.

    Args:
        past: of the last good runs, for earlier dates each; the newest first.
        accepted: of the last run that was let through on demand, if it is among the last ones.
    """
    events = [one.events for one in [*past, *([accepted] if accepted else []), today]]
    if max(events) < settings.from_events:
        return []
    gates = list(_gates(today, past, settings))
    if accepted is None:
        return gates
    others = {one.what: one for one in _gates(today, [accepted], settings.model_copy(update=_ANY_SHARE))}
    if not past:
        return list(others.values())
    return [gate if gate.holds else _by_accepted(gate, others) for gate in gates]


def _by_accepted(gate: InputGate, others: dict[str, InputGate]) -> InputGate:
    """Return the gate by accepted figures, where these know the figure and it holds."""
    other = others.get(gate.what)
    if other is not None:
        return other if other.holds else gate
    return replace(gate, low=-inf, high=inf)  # what was accepted had no such figure


def _gates(today: InputFigures, past: Past, settings: InputGatesSettings) -> Iterator[InputGate]:
    yield from event_gates(today, past, settings)
    yield from table_gates(today, past, settings)
