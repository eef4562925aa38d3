"""An input gate: a figure of a day's inputs beside what is usual, and its bounds."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf
from statistics import median
from typing import Final, Literal

from recsys_cli.configs.gate_sections import InputGatesSettings
from recsys_cli.data_preparation.tables.input_figures import InputFigures

LEAST_IDS: Final = 100  # users or items, and rows of a table: shares of fewer mean little

Past = Sequence[InputFigures]
Count = Callable[[InputFigures], int]
Severity = Literal["error", "warning"]


@dataclass(frozen=True)
class InputGate:
    """A figure of the inputs beside what is usual, and its bounds.

    Attributes:
        usual: by the last runs, else by the weeks before; None: there is neither.
        setting: of the bound that is missed, or may be.
    """

    what: str
    today: float
    usual: float | None
    low: float
    high: float
    setting: str
    severity: Severity = "error"

    @property
    def holds(self) -> bool:
        """Whether the figure keeps its bounds."""
        return self.low <= self.today <= self.high

    @property
    def bound(self) -> str:
        """The bounds, as text."""
        if self.high == inf:
            return f"at least {in_digits(self.low)}"
        if self.low == -inf:
            return f"at most {in_digits(self.high)}"
        return f"{in_digits(self.low)} to {in_digits(self.high)}"

    def as_json(self) -> dict[str, object]:
        """Return it as a JSON object."""
        bounds = {"low": self.low, "high": self.high}
        return {
            "what": self.what,
            "today": self.today,
            "usual": self.usual,
            **{name: bound for name, bound in bounds.items() if abs(bound) != inf},
            "setting": self.setting,
            "holds": self.holds,
        }


def in_digits(value: float | None) -> str:
    """Return a figure as text."""
    if value is None:
        return "–"
    return f"{value:,.0f}" if abs(value) >= 1_000 or value == int(value) else f"{value:.3g}"


def relative_gate(
    what: str, figure: float, usual: float, bounds: tuple[float, float], setting: str
) -> InputGate:
    """Return the gate of a figure between two multiples of what is usual."""
    low, high = usual * bounds[0], usual * bounds[1]
    side = "max" if figure > high else "min"
    return InputGate(what, figure, usual, low, high, f"{side}_{setting}")


def share_gate(
    settings: InputGatesSettings, setting: str
) -> Callable[[str, float, Sequence[float]], InputGate]:
    """Return what makes the gate of a share: it may not rise above a bound of its own, nor above its past."""

    def gate(what: str, share: float, past: Sequence[float]) -> InputGate:
        usual = median(past) if past else None
        risen = inf if usual is None else usual + settings.max_share_rise
        most: float = inf if setting == "max_share_rise" else getattr(settings, setting)
        name = setting if most <= risen else "max_share_rise"
        return InputGate(what, share, usual, -inf, min(most, risen), name)

    return gate
