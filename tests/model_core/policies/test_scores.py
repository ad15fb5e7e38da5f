"""Scores, thresholds and the comparison, with values that a person can check."""

import math

import pytest
import torch
from pydantic import ValidationError
from torch import Tensor

from model_core.policies import (
    POLICIES,
    ClassifierPolicy,
    ConfidencePolicy,
    EntropyPolicy,
    ExitPolicy,
    ExitSignals,
    FixedDepthPolicy,
    JeiDnnPolicy,
    MarginPolicy,
    NeverPolicy,
    PalbertPolicy,
    PatiencePolicy,
    ShallowExitPolicy,
    SimilarityPolicy,
    ThresholdDecay,
    decide,
)


def signals(
    depth: int = 1,
    hidden: Tensor | None = None,
    previous: Tensor | None = None,
    logits: Tensor | None = None,
    steps: tuple[int, ...] = (0, 0),
) -> ExitSignals:
    """Signals of two rows at a depth of four."""
    hidden = torch.ones(2, 1, 2) if hidden is None else hidden
    return ExitSignals(
        depth=depth,
        num_layers=4,
        hidden=hidden,
        previous=hidden if previous is None else previous,
        mask=None,
        steps=torch.tensor(steps),
        max_steps=torch.tensor([10, 10]),
        compute_features=lambda: torch.zeros(2, 2),
        compute_logits=None if logits is None else lambda features: logits,
    )


def test_similarity_is_the_cosine_of_each_sample_over_all_its_tokens() -> None:
    hidden = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[3.0, 0.0], [0.0, 0.0]]])
    previous = torch.tensor([[[1.0, 0.0], [1.0, 0.0]], [[0.0, 4.0], [0.0, 0.0]]])
    score = SimilarityPolicy(threshold=0.9).score(signals(hidden=hidden, previous=previous))
    torch.testing.assert_close(score, torch.tensor([0.5, 0.0]))


def test_entropy_is_one_when_certain_and_zero_for_a_uniform_guess() -> None:
    logits = torch.tensor([[50.0, 0.0, 0.0, 0.0], [1.0, 1.0, 1.0, 1.0]])
    torch.testing.assert_close(
        EntropyPolicy(threshold=0.5).score(signals(logits=logits)), torch.tensor([1.0, 0.0])
    )
    two_of_four = torch.tensor([[0.0, 0.0, -50.0, -50.0]] * 2)  # half of the largest entropy
    torch.testing.assert_close(
        EntropyPolicy(threshold=0.5).score(signals(logits=two_of_four)), torch.tensor([0.5, 0.5])
    )


def test_margin_is_the_lead_of_the_best_probability() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.2, 0.4]]).log()
    score = MarginPolicy(threshold=0.5).score(signals(logits=logits))
    torch.testing.assert_close(score, torch.tensor([0.5, 0.0]))


def test_patience_counts_repeats_of_each_row_and_starts_again_after_a_change() -> None:
    choices = [[0, 2], [0, 1], [0, 1], [1, 1]]  # by depth, of two rows
    counts = []
    carried = None
    for depth, chosen in enumerate(choices, start=1):
        here = signals(depth, logits=torch.eye(3)[chosen])
        here.carried = carried
        decision = decide(PatiencePolicy(patience=2), here)
        carried = here.carried
        counts.append(decision.scores.tolist())
        if depth == 3:
            assert decision.exit_mask.tolist() == [True, False]
    assert counts == [[0, 0], [1, 0], [2, 1], [0, 2]]


@pytest.mark.parametrize(
    ("policy", "thresholds", "leaves"),
    [
        (PalbertPolicy(threshold=0.6), [0.6, 0.6], [2, 4]),
        # Steps 0 and 1: parts of the golden ratio, .618 and 2 x .618 - 1.
        (PalbertPolicy(rule="sample"), [0.618, 0.236], [2, 3]),
    ],
    ids=["q_exit", "sample"],
)
def test_palbert_adds_up_the_chance_of_having_halted(
    policy: PalbertPolicy, thresholds: list[float], leaves: list[int]
) -> None:
    halting = [[0.5, 0.1], [0.5, 0.1], [0.5, 0.2]]  # by depth, of two rows
    halted = [[0.5, 0.1], [0.75, 0.19], [0.875, 0.352], [1.0, 1.0]]
    found = [0, 0]
    carried = None
    for depth in (1, 2, 3, 4):
        here = signals(depth, steps=(0, 1))
        here.carried = carried
        here.compute_learned = lambda kind, seen: torch.tensor(halting[seen.depth - 1])
        decision = decide(policy, here)
        carried = here.carried
        torch.testing.assert_close(decision.scores, torch.tensor(halted[depth - 1]))
        torch.testing.assert_close(
            decision.thresholds, torch.tensor(thresholds), atol=1e-3, rtol=0.0
        )
        for row in (0, 1):
            if decision.exit_mask[row] and not found[row]:
                found[row] = depth
    assert found == leaves


@pytest.mark.parametrize(("rate", "depth"), [(0.9, 1), (0.5, 2), (0.02, 4)])
def test_palbert_leaves_at_the_expected_depth(rate: float, depth: int) -> None:
    """Of a constant rate over four depths: 1.11, 1.88 and 3.88 layers."""
    carried = None
    for number in (1, 2, 3, 4):
        here = signals(number)
        here.carried = carried
        here.compute_learned = lambda kind, seen: torch.full((2,), rate)
        decision = decide(PalbertPolicy(rule="expectation"), here)
        carried = here.carried
        assert decision.exit_mask.tolist() == [number >= depth] * 2


def test_jei_dnn_shares_out_what_is_left() -> None:
    gates = [[0.25, 0.5], [0.5, 0.75], [0.75, 0.1]]  # by depth, of two rows
    # Row 0: .25; .5 / .75; what is left, .25, of .25. Row 1: .5; .5 of the .5 left; nothing.
    chances = [[0.25, 0.5], [2 / 3, 1.0], [1.0, 0.0]]
    carried = None
    for depth in (1, 2, 3):
        here = signals(depth)
        here.carried = carried
        here.compute_learned = lambda kind, seen: torch.tensor(gates[seen.depth - 1])
        decision = decide(JeiDnnPolicy(threshold=0.6), here)
        carried = here.carried
        torch.testing.assert_close(
            decision.scores, torch.tensor(chances[depth - 1]), atol=1e-5, rtol=0.0
        )
    assert decide(JeiDnnPolicy(), signals(4)).scores.tolist() == [1.0, 1.0]


def test_shallow_exit_asks_at_one_depth() -> None:
    logits = torch.tensor([[0.7, 0.2, 0.1], [0.4, 0.3, 0.3]]).log()
    policy = ShallowExitPolicy(depth=2, threshold=0.5)
    decision = decide(policy, signals(2, logits=logits))
    assert decision.exit_mask.tolist() == [True, False]
    torch.testing.assert_close(decision.scores, torch.tensor([0.7, 0.4]))
    for depth in (1, 3):
        assert policy.known_score(depth) == (0.0, 1.0)
        unasked = signals(depth, logits=logits)
        assert decide(policy, unasked).exit_mask.tolist() == [False, False]
        assert not unasked.has_logits


def test_similarity_never_asks_for_logits() -> None:
    def refuse(features: Tensor) -> Tensor:
        raise AssertionError("the exit head was computed")

    given = signals()
    given.compute_logits = refuse
    decide(SimilarityPolicy(threshold=0.5), given)
    assert not given.has_logits


def test_threshold_falls_along_the_caption() -> None:
    policy = SimilarityPolicy(threshold=0.9, decay=ThresholdDecay(beta=0.5, tau=2.0))
    thresholds = policy.thresholds(signals(steps=(0, 5)))
    expected = [0.5 * 0.9 + 0.5, 0.5 * 0.9 + 0.5 * math.exp(-1.0)]
    torch.testing.assert_close(thresholds, torch.tensor(expected))


def test_rows_at_different_steps_have_thresholds_of_their_own() -> None:
    policy = SimilarityPolicy(threshold=0.6, decay=ThresholdDecay(beta=0.5, tau=10.0))
    hidden = torch.tensor([[[1.0, 0.0]], [[1.0, 0.0]]])
    previous = torch.tensor([[[0.6, 0.8]], [[0.6, 0.8]]])  # cosine 0.6 in both rows
    decision = decide(policy, signals(hidden=hidden, previous=previous, steps=(0, 9)))
    assert decision.exit_mask.tolist() == [False, True]


def test_confidence_is_the_largest_probability() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [5.0, 5.0]])
    score = ConfidencePolicy(threshold=0.5).score(signals(logits=logits))
    torch.testing.assert_close(score, torch.tensor([0.75, 0.5]))


def test_logits_are_computed_once() -> None:
    calls = []

    def compute(features: Tensor) -> Tensor:
        calls.append(1)
        return torch.zeros(2, 3)

    given = signals()
    given.compute_logits = compute
    ConfidencePolicy(threshold=0.5).score(given)
    ConfidencePolicy(threshold=0.1).score(given)
    assert calls == [1]


def test_classifier_score_is_that_of_the_heads_and_computed_once() -> None:
    asked: list[tuple[str, ExitSignals]] = []

    def compute(kind: str, given: ExitSignals) -> Tensor:
        asked.append((kind, given))
        return torch.tensor([0.7, 0.2])

    given = signals()
    given.compute_learned = compute
    decision = decide(ClassifierPolicy(threshold=0.7), given)
    assert decision.scores.tolist() == pytest.approx([0.7, 0.2])
    assert decision.exit_mask.tolist() == [True, False]
    assert decide(ClassifierPolicy(threshold=0.1), given).exit_mask.tolist() == [True, True]
    assert asked == [("classifier", given)]
    assert not given.has_logits


def test_classifier_is_certain_at_full_depth_without_asking() -> None:
    decision = decide(ClassifierPolicy(threshold=0.7), signals(depth=4))
    assert decision.scores.tolist() == [1.0, 1.0]


def test_site_without_learned_heads_refuses_the_classifier() -> None:
    with pytest.raises(ValueError, match="no learned heads; policy 'classifier' needs them"):
        ClassifierPolicy(threshold=0.5).score(signals())


def test_features_are_computed_once_for_logits_and_heads() -> None:
    calls = []

    def compute() -> Tensor:
        calls.append(1)
        return torch.eye(2)

    given = signals()
    assert not given.has_features
    given.compute_features = compute
    given.compute_logits = lambda features: 2 * features
    given.compute_learned = lambda kind, here: here.features().sum(dim=1)
    assert given.learned_score("classifier").tolist() == [1.0, 1.0]
    torch.testing.assert_close(given.logits(), 2 * torch.eye(2))
    assert (calls, given.has_features) == ([1], True)


def test_score_equal_to_the_threshold_leaves() -> None:
    assert decide(FixedDepthPolicy(depth=2), signals(depth=2)).exit_mask.tolist() == [True, True]
    assert decide(FixedDepthPolicy(depth=3), signals(depth=2)).exit_mask.tolist() == [False, False]


def test_never_leaves_only_at_the_last_layer() -> None:
    leaves = [decide(NeverPolicy(), signals(depth=depth)).exit_mask.any() for depth in range(1, 5)]
    assert leaves == [False, False, False, True]


def test_min_depth_holds_exits_back() -> None:
    policy = SimilarityPolicy(threshold=-1.0, min_depth=3)
    leaves = [decide(policy, signals(depth=depth)).exit_mask.all() for depth in range(1, 5)]
    assert leaves == [False, False, True, True]


def test_rows_are_decided_independently() -> None:
    logits = torch.tensor([[9.0, 0.0], [0.0, 0.0]])
    decision = decide(ConfidencePolicy(threshold=0.9), signals(logits=logits))
    assert decision.exit_mask.tolist() == [True, False]


def test_encoder_without_head_refuses_confidence() -> None:
    with pytest.raises(ValueError, match="no head"):
        ConfidencePolicy(threshold=0.5).score(signals())


@pytest.mark.parametrize("threshold", [-1.01, 1.5, float("nan")])
def test_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(ValidationError, match="threshold"):
        SimilarityPolicy(threshold=threshold)


def test_every_policy_is_registered_under_its_kind() -> None:
    kinds = {name: policy.model_fields["kind"].default for name, policy in POLICIES.items()}
    assert kinds == {name: name for name in POLICIES}
    assert all(issubclass(policy, ExitPolicy) for policy in POLICIES.values())
