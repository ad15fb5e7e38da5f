"""The JEI-DNN recipe: gates and exits learn in turns, the gates from what leaving would have cost.

A gate should be open from the depth on where ``CE_l + lambda * cost_l`` is least. The exits' own
modules (here a temperature each) learn on rows weighted by the chance that they leave there.

Source: arXiv 2310.09163. ``paper_weighted`` is the loss as the paper has it; in their code the
normalising ratio is not detached, which turns it into the plain mean: ``repo_weighted``. The cost
of a depth is its share of the layers (ours: layers are equal, and their mult-adds lead to the
same).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model_core.policies import ExitSignals
from model_core.policies.jei_dnn import exit_chance
from model_core.policy_heads import UncertaintyGates
from model_core.training.config import ModuleWeighting, Objective
from model_core.training.frozen import HeadsRecipe
from model_core.training.recipe import StepLosses

MAX_POSITIVE_WEIGHT = 5.0


class JeiDnnRecipe(HeadsRecipe):
    """Gates on people's captions and labels."""

    objective = Objective.JEI_DNN
    heads: UncertaintyGates

    def losses(self, step: int) -> StepLosses:
        every = self._config.loss.turn_steps
        self._learns_gates = (step // every) % 2 == 1  # the modules begin: they warm up
        return super().losses(step)

    def loss(self, signals: Sequence[ExitSignals], targets: Tensor) -> StepLosses:
        config = self._config.loss
        exit_losses = torch.stack(
            [
                functional.cross_entropy(self.heads.scaled(here).float(), targets, reduction="none")
                for here in signals
            ],
            dim=1,
        )  # (N, L)
        gate_logits = torch.stack([self.heads.logits(here).float() for here in signals[:-1]], dim=1)
        shares = exit_shares(gate_logits.sigmoid())
        wanted = gate_targets(exit_losses.detach(), config.exit_cost_weight)
        gate_loss = balanced_bce(gate_logits, wanted)
        module_loss = weighted_exit_loss(exit_losses, shares.detach(), config.module_weighting)
        depths = torch.arange(1, len(signals) + 1).to(shares)
        figures = {
            "expected_depth": (shares * depths).sum(dim=1).mean().detach(),
            "wanted_depth": len(signals) - wanted.sum(dim=1).mean(),
        }
        parts = {"gate": gate_loss.detach(), "module": module_loss.detach()}
        return StepLosses(gate_loss if self._learns_gates else module_loss, parts, figures)


def exit_shares(gates: Tensor) -> Tensor:
    """``(N, L)`` chance to leave at each depth, by ``(N, L-1)`` gates; the last takes the rest."""
    spent = has_left = torch.zeros_like(gates[:, 0])
    shares = []
    for gate in gates.unbind(dim=1):
        share = exit_chance(gate, spent, has_left) * (1 - has_left)
        shares.append(share)
        spent, has_left = spent + gate, has_left + share
    return torch.stack([*shares, 1 - has_left], dim=1)


def gate_targets(exit_losses: Tensor, cost_weight: float) -> Tensor:
    """``(N, L-1)``: 1 from the depth on that is best by ``(N, L)`` losses and what depth costs."""
    num_layers = exit_losses.shape[1]
    depths = torch.arange(1, num_layers + 1).to(exit_losses)
    best = (exit_losses + cost_weight * depths / num_layers).argmin(dim=1, keepdim=True)
    return (torch.arange(num_layers - 1).to(best) >= best).to(exit_losses)


def balanced_bce(logits: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of gates; positives weigh more where they are fewer, up to 5 times."""
    positives = targets.sum()
    ratio = (targets.numel() - positives) / positives.clamp_min(1.0)
    weight = ratio.clamp(max=MAX_POSITIVE_WEIGHT)
    return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight)


def weighted_exit_loss(exit_losses: Tensor, shares: Tensor, weighting: ModuleWeighting) -> Tensor:
    """Loss of the exits' modules over ``(N, L)`` cross entropies.

    ``paper_weighted``: each row counts at an exit by its share there, the shares of an exit scaled
    to a mean of 1. ``repo_weighted``: the plain mean.
    """
    if weighting is ModuleWeighting.REPO_WEIGHTED:
        return exit_losses.mean()
    weights = shares / shares.mean(dim=0, keepdim=True).clamp_min(1e-6)
    return (weights * exit_losses).mean()
