"""The simulation of orders of tests."""

import numpy as np
import pytest

from tools import chain_power
from tools.chain_power import Kind, draw_evidence, simulate


def test_evidence_grows_with_photos_to_what_the_truth_gives() -> None:
    kind = Kind(np.array([0.1, 0.2]), np.array([1.0, 0.9]), np.array([0.1, 0.4]))
    num_photos = 10**8
    evidence = draw_evidence(np.random.default_rng(0), kind, 0.95, num_photos)
    errors = np.sqrt(np.array([0.1, 0.4]) * 0.25 + (0.05 * 0.55) ** 2) / 10**4
    assert evidence * errors == pytest.approx([0.05 * 0.55, -0.05 * 0.55], rel=0.02)


def test_same_seed_gives_the_same_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(chain_power, "NUM_WORLDS", 20)
    first, second, other = simulate(0.9), simulate(0.9), simulate(0.9, seed=1)
    assert first == second != other
    # nothing saves more than the cheapest setting there is
    assert all(0.3 < saved < 0.75 for saved in first.values())
