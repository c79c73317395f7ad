"""A few answers that are somebody else's, among many that are right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from whimbrel.diagnose import diagnose
from whimbrel.drill.table import to_arrow
from whimbrel.model.report import Report


def _asked(
    n: int, seed: int, start: float, hours: float, *, swapped: float = 0.0, rougher: float = 1.0
) -> dict[str, Any]:
    """A score that no formula says: of three numbers, with what nobody recorded."""
    rng = np.random.default_rng(seed)
    near, far, size = (rng.normal(size=n) for _ in range(3))
    logit = 1.5 * np.tanh(near) + np.abs(far) * 0.8 - 0.5 * np.maximum(size, 0.3) ** 2 + rng.normal(0, 0.1 * rougher, n)
    score = 1 / (1 + np.exp(-logit))
    rows = np.flatnonzero(rng.random(n) < swapped)
    score[rows] = score[np.maximum(rows - 40, 0)]
    return {
        "id": np.array([f"{seed}-{i}" for i in range(n)], dtype=object),
        "ts": 1_790_000_000 + 3600 * (start + np.sort(rng.random(n)) * hours),
        "inputs.near": near, "inputs.far": far, "inputs.size": size, "outputs.score": score,
    }  # fmt: skip


def _report(**change: float) -> Report:
    return diagnose(to_arrow(_asked(9_000, 1, 0, 240)), to_arrow(_asked(3_000, 2, 240, 48, **change)))


def test_a_few_answers_of_other_requests_are_found() -> None:
    """They move no mean, and lie where hardly any of golden's lie."""
    report = _report(swapped=0.05)
    assert report.verdict == "fault", report.sentence
    assert (report.findings[0].layer, report.findings[0].component) == ("model", "outputs.score")
    assert "far from what golden made of the same upstream" in report.findings[0].what


@pytest.mark.parametrize("change", [{}, {"rougher": 1.25}])
def test_answers_a_little_rougher_than_golden_s_are_not(change: dict[str, float]) -> None:
    assert _report(**change).verdict == "healthy"
