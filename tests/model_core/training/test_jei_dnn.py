"""The JEI-DNN recipe: statistics, shares, targets and weights by hand, and what it learns."""

import math
from pathlib import Path

import pytest
import torch

from model_core.config import ModelConfig
from model_core.policy_heads import JEI_DNN
from model_core.policy_heads.gates import uncertainty
from model_core.training.config import ModuleWeighting, TrainConfig
from model_core.training.jei_dnn import (
    balanced_bce,
    exit_shares,
    gate_targets,
    weighted_exit_loss,
)
from model_core.training.loop import Trainer
from tests.model_core.training.heads_run import metrics, values_of


def test_statistics_by_hand() -> None:
    half, sure = [0.5, 0.5, 1e-30, 1e-30], [0.25] * 4
    found = uncertainty(torch.tensor([half, sure]).log())
    torch.testing.assert_close(found, torch.tensor([[0.5, 0.5, 0, 0.5], [0.25, 1, 0, 1]]))
    p = torch.tensor([0.8, 0.2])
    squares = p.square() / p.square().sum()
    entropies = [-float((q * q.log()).sum()) / math.log(2) for q in (p, squares)]
    expected = torch.tensor([[0.8, entropies[0], 0.6, entropies[1]]])
    torch.testing.assert_close(uncertainty(p.log()[None]), expected)


def test_shares_add_up_to_one_and_the_last_exit_takes_the_rest() -> None:
    gates = torch.tensor([[0.25, 0.5, 0.75], [0.0, 0.3, 0.2]])
    expected = torch.tensor([[0.25, 0.5, 0.25, 0.0], [0.0, 0.3, 0.2, 0.5]])
    torch.testing.assert_close(exit_shares(gates), expected, atol=1e-5, rtol=0.0)


def test_gates_should_open_where_loss_and_cost_are_least() -> None:
    losses = torch.tensor([[1.0, 0.9, 0.8, 0.7], [3.0, 1.0, 1.0, 0.9], [3.0, 2.0, 1.0, 0.0]])
    # A quarter of the cost weight a layer: .1 more loss is worth a layer at 1, not at .2.
    assert gate_targets(losses, 1.0).tolist() == [[1, 1, 1], [0, 1, 1], [0, 0, 0]]
    assert gate_targets(losses, 0.2).tolist() == [[0, 0, 0], [0, 1, 1], [0, 0, 0]]


def test_rare_positives_weigh_up_to_five_times() -> None:
    logits, targets = torch.zeros(1, 10), torch.zeros(1, 10)
    targets[0, 0] = 1
    assert float(balanced_bce(logits, targets)) == pytest.approx(math.log(2) * (9 + 5) / 10)


def test_weights_of_the_paper_and_of_the_code() -> None:
    losses = torch.tensor([[1.0, 4.0], [3.0, 2.0]])
    shares = torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    paper = (1.0 * 4 / 3 + 3.0 * 2 / 3 + 2.0 * 2) / 4
    by_kind = [float(weighted_exit_loss(losses, shares, kind)) for kind in ModuleWeighting]
    assert by_kind == pytest.approx([paper, 2.5])


def test_gates_and_temperatures_learn_in_turns(
    tiny_config: ModelConfig, tiny_checkpoint: Path, data_folder: Path, tmp_path: Path
) -> None:
    values = values_of(JEI_DNN, tiny_config, tiny_checkpoint, data_folder, tmp_path)
    config = TrainConfig.model_validate(values | {"num_steps": 60, "loss": {"turn_steps": 5}})
    trainer = Trainer(config)
    heads = trainer.model.policy_heads[JEI_DNN]
    start = {name: value.clone() for name, value in heads.state_dict().items()}
    trainer.run(stop_at=5)
    moved = {n for n, value in heads.state_dict().items() if not torch.equal(value, start[n])}
    assert moved == {"log_temperature"}
    trainer.run()
    rows = metrics(config.output_folder)
    assert sum(row["gate_loss"] for row in rows[-5:]) < sum(row["gate_loss"] for row in rows[:5])
