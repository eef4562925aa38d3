"""Raw scores as probabilities."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit

from recsys_cli.models.reranking.calibration import Calibration, fit_calibration


@pytest.mark.parametrize(("slope", "intercept"), [(0.7, -2.0), (2.0, 0.5)])
def test_the_probabilities_of_a_known_logistic_model_are_recovered(slope: float, intercept: float) -> None:
    random = np.random.default_rng(1)
    raw = random.normal(size=60_000).astype(np.float32)
    truth = expit(slope * raw + intercept)
    labels = (random.random(len(raw)) < truth).astype(np.int8)

    found = fit_calibration(raw, labels)

    assert (found.slope, found.intercept) == pytest.approx((slope, intercept), abs=0.06)
    np.testing.assert_allclose(found.probabilities(raw), truth, atol=0.02)


def test_scores_against_the_labels_still_keep_their_order() -> None:
    raw = np.linspace(-3, 3, 200, dtype=np.float32)

    found = fit_calibration(raw, (raw < 0).astype(np.int8))

    assert found.slope > 0 and np.all(np.diff(found.probabilities(raw)) >= 0)


@given(st.lists(st.floats(-30, 30, width=32), min_size=2), st.floats(1e-3, 50), st.floats(-20, 20))
def test_no_calibration_changes_an_order(raw: list[float], slope: float, intercept: float) -> None:
    ordered = np.sort(np.array(raw, dtype=np.float32))
    probabilities = Calibration(slope, intercept).probabilities(ordered)

    assert np.all(np.diff(probabilities) >= 0)
    assert probabilities.dtype == np.float32 and 0 <= probabilities.min() and probabilities.max() <= 1


@pytest.mark.parametrize("label", [0, 1])
def test_labels_that_are_all_equal_teach_nothing(label: int) -> None:
    assert fit_calibration(np.array([1.0, 2.0]), np.full(2, label)) == Calibration(1.0, 0.0)
