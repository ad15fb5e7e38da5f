"""The classifier recipe: will this depth choose what full depth chooses? The model is frozen.

The model writes captions at full depth, the likeliest and others drawn, and reads them again with
every depth's choice beside full depth's; entailment pairs ask for one choice each. Memories come
from sampled encoder depths in a share of the steps, so that the heads hold for those too.

Source: arXiv 2207.07061, section 3.4 (binary cross entropy, the mean over depths and tokens, on
consistency with the last prediction); learning on drawn captions and shallow memories is ours.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from model_core.policies import ExitSignals
from model_core.policy_heads import AgreementClassifier
from model_core.training.config import Objective
from model_core.training.frozen import HeadsRecipe
from model_core.training.recipe import StepLosses


class ClassifierRecipe(HeadsRecipe):
    """Agreement of every depth with the last one on the model's own captions, and on labels."""

    objective = Objective.CLASSIFIER
    heads: AgreementClassifier

    @property
    def imitates_full_depth(self) -> bool:
        return True

    def loss(self, signals: Sequence[ExitSignals], targets: Tensor) -> StepLosses:
        """Over depths 1..L-1; beside it, per depth, how well the heads tell who agrees."""
        *shallow, _ = signals
        with torch.no_grad():
            agreed = [(here.logits().argmax(-1) == targets).float() for here in shallow]
        logits = [self.heads.logits(here).float() for here in shallow]
        loss = functional.binary_cross_entropy_with_logits(torch.stack(logits), torch.stack(agreed))
        figures = {}
        for depth, (scores, labels) in enumerate(zip(logits, agreed, strict=True), start=1):
            figures[f"agreement_depth_{depth}"] = labels.mean()
            figures[f"auroc_depth_{depth}"] = auroc(scores.detach(), labels)
        return StepLosses(loss, {}, figures)


def auroc(scores: Tensor, labels: Tensor) -> Tensor:
    """How often a positive scores above a negative; 0.5 where one of them is missing.

    Args:
        scores: ``(N,)``; ties are broken by place.
        labels: ``(N,)`` 1 for a positive, 0 for a negative.
    """
    num_positive = labels.sum()
    num_pairs = num_positive * (len(labels) - num_positive)
    if num_pairs == 0:
        return torch.full_like(num_positive, 0.5)
    ranks = scores.argsort(stable=True).argsort() + 1
    below = (ranks * labels).sum() - num_positive * (num_positive + 1) / 2
    return below / num_pairs
