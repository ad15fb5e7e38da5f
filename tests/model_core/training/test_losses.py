"""Losses and schedule by hand."""

import math

import pytest
import torch

from model_core.tokenizer import pad_rows, text_side
from model_core.training.config import OptimConfig
from model_core.training.data import IGNORED_TARGET, normalise_caption
from model_core.training.losses import (
    caption_loss,
    contrastive_loss,
    deep_supervision,
    imitation_loss,
    self_critical_loss,
)
from model_core.training.optim import learning_rate
from tests.tiny import tiny_tokenizer


def test_caption_loss_is_the_mean_over_real_targets() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75], [0.9, 0.1]]))
    targets = torch.tensor([0, 1, IGNORED_TARGET])
    expected = -(math.log(0.5) + math.log(0.75)) / 2
    assert float(caption_loss(logits, targets, 0.0)) == pytest.approx(expected)


def test_label_smoothing_spreads_over_the_vocabulary() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.25, 0.25]]))
    smooth = -(0.9 * math.log(0.5) + 0.1 / 3 * (math.log(0.5) + 2 * math.log(0.25)))
    assert float(caption_loss(logits, torch.tensor([0]), 0.1)) == pytest.approx(smooth)


def test_deep_supervision_is_the_mean_plus_the_last() -> None:
    total = deep_supervision([torch.tensor(2.0), torch.tensor(4.0), torch.tensor(9.0)])
    assert float(total) == 5.0 + 9.0


def test_deep_supervision_without_exits_is_refused() -> None:
    with pytest.raises(ValueError, match="at least the last exit"):
        deep_supervision([])


def test_contrastive_loss_of_two_photos_by_hand() -> None:
    images = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    # One sentence each; the second photo's sentence points half way.
    texts = torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    scale = torch.tensor(2.0)

    def pick(own: float, other: float) -> float:
        return -math.log(math.exp(own) / (math.exp(own) + math.exp(other)))

    to_image = (pick(2.0, 0.0) + pick(1.6, 1.2)) / 2
    to_text = (pick(2.0, 1.2) + pick(1.6, 0.0)) / 2
    expected = (to_image + to_text) / 2
    assert float(contrastive_loss(images, texts, scale)) == pytest.approx(expected)


def test_contrastive_loss_keeps_sentences_of_a_photo_together() -> None:
    images = torch.eye(3)
    texts = torch.eye(3).repeat_interleave(2, dim=0)
    right = contrastive_loss(images, texts, torch.tensor(20.0))
    wrong = contrastive_loss(images, texts.roll(1, 0), torch.tensor(20.0))
    assert float(right) < 1e-3 < float(wrong)


def test_self_critical_loss_by_hand() -> None:
    logits = torch.log(torch.tensor([[0.5, 0.5], [0.25, 0.75]]))
    loss = self_critical_loss(logits, torch.tensor([0, 1]), torch.tensor([2.0, -1.0]))
    assert float(loss) == pytest.approx((2 * -math.log(0.5) + math.log(0.75)) / 2)


def test_imitation_is_the_divergence_from_the_teacher() -> None:
    exit = torch.log(torch.tensor([[0.5, 0.5]])).requires_grad_()
    teacher = torch.log(torch.tensor([[0.75, 0.25]])).requires_grad_()
    loss = imitation_loss(exit, teacher)
    assert loss.item() == pytest.approx(0.75 * math.log(1.5) + 0.25 * math.log(0.5))
    loss.backward()
    assert exit.grad is not None and teacher.grad is None


def test_rate_warms_up_and_falls_to_zero() -> None:
    config = OptimConfig(learning_rate=0.1, warmup_steps=4)
    rates = [learning_rate(config, step, 14) for step in (0, 3, 4, 9, 14)]
    assert rates == pytest.approx([0.025, 0.1, 0.1, 0.05, 0.0])


def test_captions_are_normalised() -> None:
    assert normalise_caption("  A dog\t runs  . ") == "a dog runs"


def test_only_the_premise_is_cut() -> None:
    tokenizer = tiny_tokenizer()
    ids = text_side(tokenizer, "a dog", "two people in snow", max_tokens=6)
    start, end = tokenizer.start_id, tokenizer.end_id
    (two, *_), (a, dog) = tokenizer.encode("two people"), tokenizer.encode("a dog")
    assert ids == [start, two, end, a, dog, end]


def test_rows_are_padded_at_the_end() -> None:
    assert pad_rows([[1], [2, 3]], 9).tolist() == [[1, 9], [2, 3]]
