"""Losses of tag heads against values by hand."""

import math

import pytest
import torch

from model_core.training.tag_losses import (
    channel_divergence,
    feature_distance,
    gram_distance,
    prediction_distillation,
    tag_loss,
    weighted_exits,
)


def test_tag_loss_adds_up_words_and_averages_photos() -> None:
    # Photo 0: ln 2 twice; photo 1: -ln .75 and -ln .75.
    logits = torch.tensor([[0.0, 0.0], [math.log(3), -math.log(3)]])
    targets = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    expected = (2 * math.log(2) + 2 * math.log(4 / 3)) / 2
    assert float(tag_loss(logits, targets)) == pytest.approx(expected)


def test_deeper_exits_weigh_more() -> None:
    losses = [torch.tensor(6.0), torch.tensor(0.0), torch.tensor(2.0)]
    assert float(weighted_exits(losses)) == pytest.approx((1 * 6 + 3 * 2) / 6)


def test_no_exit_is_refused() -> None:
    with pytest.raises(ValueError, match="losses must hold at least one exit's loss"):
        weighted_exits([])


def test_distillation_by_hand() -> None:
    # At T = 2 the teacher says 3/4 and the exit 1/2.
    teacher = torch.tensor([[2 * math.log(3)]])
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    found = prediction_distillation(torch.zeros(1, 1), teacher, 2.0)
    assert float(found) == pytest.approx(expected, rel=1e-5)
    assert float(prediction_distillation(teacher, teacher, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_channel_divergence_by_hand() -> None:
    # One token of two; the other agrees. Final softmax (3/4, 1/4), head (1/2, 1/2).
    final = torch.tensor([[[math.log(3), 0.0], [1.0, 2.0]]])
    tokens = torch.tensor([[[0.0, 0.0], [1.0, 2.0]]])
    expected = (0.75 * math.log(1.5) + 0.25 * math.log(0.5)) / 2
    assert float(channel_divergence(tokens, final)) == pytest.approx(expected)


def test_feature_distance_by_hand() -> None:
    assert float(feature_distance(torch.zeros(1, 2, 2), torch.full((1, 2, 2), 3.0))) == 9.0


def test_gram_distance_by_hand() -> None:
    # Gram matrices over D = 2: [[.5, 0], [0, .5]] and [[2, 0], [0, 0]].
    tokens = torch.tensor([[[1.0, 0.0], [0.0, 1.0]]])
    last = torch.tensor([[[2.0, 0.0], [0.0, 0.0]]])
    assert float(gram_distance(tokens, last)) == pytest.approx((1.5**2 + 0.5**2) / 4)


def test_the_one_that_is_learned_from_learns_nothing() -> None:
    for loss in (
        lambda ours, theirs: prediction_distillation(ours[0], theirs[0], 2.0),
        channel_divergence,
        feature_distance,
        gram_distance,
    ):
        ours = torch.rand(1, 3, 4, requires_grad=True)
        theirs = torch.rand(1, 3, 4, requires_grad=True)
        loss(ours, theirs).backward()
        assert ours.grad is not None and theirs.grad is None
