"""The PALBERT recipe: when to halt, learned beside exits that stay as they are.

``sum_i p_i CE_i + beta KL``: the loss that each depth would have, weighted by the chance of halting
there, and a pull towards a truncated geometric prior.

Source: arXiv 2204.03276, which trains the model along; here it is frozen, so that ``CE_i`` is given
and the halting layers alone learn where it is small (ours).
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model_core.policies import ExitSignals
from model_core.policy_heads import HaltingLayers
from model_core.policy_heads.halting import geometric_prior, halting_probabilities
from model_core.training.config import Objective, PriorDivergence
from model_core.training.frozen import HeadsRecipe
from model_core.training.recipe import StepLosses

TINY = 1e-8


class PalbertRecipe(HeadsRecipe):
    """Halting layers on people's captions and labels."""

    objective = Objective.PALBERT
    heads: HaltingLayers

    def loss(self, signals: Sequence[ExitSignals], targets: Tensor) -> StepLosses:
        config = self._config.loss
        *shallow, _ = signals
        with torch.no_grad():
            exit_losses = torch.stack(
                [
                    functional.cross_entropy(here.logits().float(), targets, reduction="none")
                    for here in signals
                ],
                dim=1,
            )  # (N, L)
        halting = torch.stack([self.heads(here).float() for here in shallow], dim=1)
        shares = halting_probabilities(halting)
        expected = (shares * exit_losses).sum(dim=1).mean()
        prior = geometric_prior(config.halting_prior, len(signals)).to(shares)
        divergence = prior_divergence(shares, prior, config.prior_divergence)
        depths = torch.arange(1, len(signals) + 1).to(shares)
        figures = {"expected_depth": (shares * depths).sum(dim=1).mean().detach()}
        parts = {"exit": expected.detach(), "prior": divergence.detach()}
        return StepLosses(expected + config.prior_weight * divergence, parts, figures)


def prior_divergence(shares: Tensor, prior: Tensor, direction: PriorDivergence) -> Tensor:
    """Mean Kullback-Leibler divergence between ``(N, L)`` shares and the ``(L,)`` prior.

    The authors' code has KL(prior || p), PonderNet (arXiv 2107.05407) has KL(p || prior).
    """
    log_shares, log_prior = shares.clamp_min(TINY).log(), prior.clamp_min(TINY).log()
    if direction is PriorDivergence.PRIOR_FIRST:
        return (prior * (log_prior - log_shares)).sum(dim=1).mean()
    return (shares * (log_shares - log_prior)).sum(dim=1).mean()
