"""Policies that look at nothing but the depth: what is known of them is what they would say."""

import numpy as np
import pytest
import torch

from model_core.encode import ScoreBoard
from model_core.policies import (
    ExitPolicy,
    ExitSignals,
    FixedDepthPolicy,
    KnownScore,
    NeverPolicy,
    SimilarityPolicy,
    decide,
    decides_to_leave,
)

KNOWN = [
    NeverPolicy(),
    FixedDepthPolicy(depth=2),
    FixedDepthPolicy(depth=1, min_depth=3),
    FixedDepthPolicy(depth=4),
]


@pytest.mark.parametrize("policy", KNOWN, ids=str)
@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_known_score_decides_as_the_tensors_do(policy: ExitPolicy, depth: int) -> None:
    states = torch.ones(3, 1, 2)
    steps = torch.zeros(3)
    signals = ExitSignals(depth, 4, states, states, None, steps, steps + 1)
    decision = decide(policy, signals)
    known = policy.known_score(depth)
    assert known is not None
    assert decision.scores.tolist() == [known.score] * 3
    assert decision.thresholds.tolist() == [known.threshold] * 3
    assert decision.exit_mask.tolist() == [decides_to_leave(policy, known, depth, 4)] * 3


def test_known_scores_by_hand() -> None:
    assert NeverPolicy().known_score(3) == KnownScore(0.0, 1.0)
    assert FixedDepthPolicy(depth=2).known_score(3) == KnownScore(3.0, 2.0)
    assert SimilarityPolicy(threshold=0.5).known_score(3) is None


@pytest.mark.parametrize(
    ("policy", "depth", "scores"),
    [
        (NeverPolicy(), 4, [0, 0, 0, 0]),
        (FixedDepthPolicy(depth=3), 3, [1, 2, 3, 0]),
        (SimilarityPolicy(threshold=0.5, min_depth=3), 1, [0, 0, 0, 0]),
    ],
    ids=["never", "fixed", "similarity"],
)
def test_first_decision_and_the_scores_until_then(
    policy: ExitPolicy, depth: int, scores: list[float]
) -> None:
    board = ScoreBoard(3, 4)
    assert board.first_decision(policy, np.array([0, 2])) == depth
    assert board.scores.tolist() == [scores, [0, 0, 0, 0], scores]
