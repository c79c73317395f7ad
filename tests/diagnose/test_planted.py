"""A small cut of the exam: planted faults and untouched windows of apps that the diagnosis was never tuned on.

The whole exam is `python -m tests.worlds.exam`; the floor and the ceiling here are far below and above what it scores, so that
they break when the diagnosis does and not when a seed is unlucky.
"""

from __future__ import annotations

import pytest

import whimbrel
from tests.worlds.cases import case

FAULTS = [("loanbook", "D02"), ("loanbook", "D05"), ("triage", "F03"), ("triage", "O01")]
CALM = [("loanbook", "season"), ("leadscore", "growth"), ("triage", "weekend")]


def _answer(app: str, kind: str, seed: int) -> tuple[bool, bool]:
    """Whether the verdict, and the layer with it, is right."""
    golden, window, events, truth = case(app, kind, seed)
    report = whimbrel.diagnose(golden, window, events=events, app=app)
    verdict = report.verdict in truth.verdicts
    if not truth.fault:
        return verdict, verdict
    layers = truth.layers or {truth.layer}
    return verdict, verdict and bool(report.findings) and report.findings[0].layer in layers


@pytest.mark.parametrize("seed", [901])
def test_planted_faults_are_found_in_the_right_layer(seed: int) -> None:
    """At least three of four medium faults, over data, features and decision."""
    right = [_answer(app, fault, seed)[1] for app, fault in FAULTS]
    assert sum(right) >= 3, dict(zip(FAULTS, right, strict=True))


@pytest.mark.parametrize("seed", [902])
def test_untouched_windows_raise_no_alarm(seed: int) -> None:
    """At most one false alarm in three natural changes."""
    right = [_answer(app, kind, seed)[0] for app, kind in CALM]
    assert sum(right) >= len(CALM) - 1, dict(zip(CALM, right, strict=True))
