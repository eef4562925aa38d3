"""Platt scaling: turns a ranker's raw score into the probability that the user takes the item."""

from dataclasses import dataclass

import numpy as np

_MIN_SLOPE = 1e-3  # positive: calibration never changes the order of the scores


@dataclass(frozen=True)
class Calibration:
    """probability = sigmoid(slope x raw + intercept)."""

    slope: float = 1.0
    intercept: float = 0.0

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        """Return probabilities, f32, in the order of the raw scores."""
        return _sigmoid(self.slope * raw.astype(np.float64) + self.intercept).astype(np.float32)


def fit_calibration(raw: np.ndarray, labels: np.ndarray) -> Calibration:
    """Fit slope and intercept by maximum likelihood on held-out rows; the identity if all labels are equal.

    Args:
        raw: raw scores of candidates, shape (n,).
        labels: 1 where the user took the item in the window, else 0, shape (n,).

    Source: Platt (1999), Probabilistic Outputs for Support Vector Machines, with his smoothed targets.
    """
    from scipy.optimize import minimize

    positives, negatives = int((labels == 1).sum()), int((labels == 0).sum())
    if not positives or not negatives:
        return Calibration()
    scores = raw.astype(np.float64)
    targets = np.where(labels == 1, (positives + 1) / (positives + 2), 1 / (negatives + 2))

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        logits = parameters[0] * scores + parameters[1]
        errors = _sigmoid(logits) - targets
        value = np.logaddexp(0.0, logits) - targets * logits
        return float(value.mean()), np.array([(errors * scores).mean(), errors.mean()])

    start = np.array([1.0, np.log((positives + 1) / (negatives + 1)) - scores.mean()])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(_MIN_SLOPE, None), (None, None)])
    return Calibration(float(found.x[0]), float(found.x[1]))


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    """Return 1 / (1 + exp(-x)); scipy.special has it, but is slow to import."""
    with np.errstate(over="ignore"):  # the result is then 0, as it should be
        return np.asarray(1.0 / (1.0 + np.exp(-logits)))
