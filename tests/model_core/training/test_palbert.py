"""The PALBERT recipe: shares of depths, their prior, and halting where the loss is small."""

import math
from pathlib import Path

import pytest
import torch

from model_core.config import ModelConfig
from model_core.policy_heads import PALBERT
from model_core.policy_heads.halting import geometric_prior, halting_probabilities
from model_core.training.config import PriorDivergence, TrainConfig
from model_core.training.loop import Trainer
from model_core.training.palbert import prior_divergence
from tests.model_core.training.heads_run import metrics, values_of


def test_shares_by_hand() -> None:
    halting = torch.tensor([[0.5, 0.5, 1.0], [0.0, 0.25, 0.0]])
    expected = torch.tensor([[0.5, 0.25, 0.25, 0.0], [0.0, 0.25, 0.0, 0.75]])
    torch.testing.assert_close(halting_probabilities(halting), expected)


def test_prior_by_hand() -> None:
    torch.testing.assert_close(geometric_prior(0.1, 4), torch.tensor([0.1, 0.09, 0.081, 0.729]))


def test_divergence_by_hand_in_both_directions() -> None:
    shares, prior = torch.tensor([[0.25, 0.75]]), torch.tensor([0.5, 0.5])
    forward = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    backward = 0.25 * math.log(0.25 / 0.5) + 0.75 * math.log(0.75 / 0.5)
    found = [float(prior_divergence(shares, prior, side)) for side in PriorDivergence]
    assert found == pytest.approx([forward, backward], rel=1e-5)


@pytest.mark.parametrize(("prior", "shallower"), [(0.8, True), (0.05, False)])
def test_halting_follows_the_prior_when_that_is_all_that_counts(
    tiny_config: ModelConfig,
    tiny_checkpoint: Path,
    data_folder: Path,
    tmp_path: Path,
    prior: float,
    shallower: bool,
) -> None:
    values = values_of(PALBERT, tiny_config, tiny_checkpoint, data_folder, tmp_path)
    loss = {"halting_prior": prior, "prior_weight": 100.0}
    config = TrainConfig.model_validate(values | {"num_steps": 40, "loss": loss})
    Trainer(config).run()
    depths = [row["expected_depth"] for row in metrics(config.output_folder)]
    wanted = float((geometric_prior(prior, 4) * torch.arange(1, 5)).sum())
    assert abs(depths[-1] - wanted) < 0.3
    assert (depths[-1] < depths[0]) is shallower
