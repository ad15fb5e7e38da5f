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
from model_core.training.data import SentenceRows, TrainBatch, sentence_rows
from model_core.training.frozen import HeadsRecipe
from model_core.training.recipe import StepLosses
from model_core.training.sampling import write_captions
from model_core.training.teacher_forcing import Memory


class ClassifierRecipe(HeadsRecipe):
    """Agreement of every depth with the last one on the model's own captions, and on labels."""

    objective = Objective.CLASSIFIER
    heads: AgreementClassifier

    def read_captions(self, batch: TrainBatch, memory: Memory) -> SentenceRows:
        """What the model itself writes, at full depth."""
        del batch
        return sentence_rows(self._write(memory), self._tokenizer, memory.states.device)

    def loss(self, signals: Sequence[ExitSignals], targets: Tensor) -> StepLosses:
        """Over depths 1..L-1; beside it, per depth, how well the heads tell who agrees."""
        del targets  # the last depth's choice is what counts
        *shallow, last = signals
        with torch.no_grad():
            final = last.logits().argmax(-1)
            agreed = [(here.logits().argmax(-1) == final).float() for here in shallow]
        logits = [self.heads.logits(here).float() for here in shallow]
        loss = functional.binary_cross_entropy_with_logits(torch.stack(logits), torch.stack(agreed))
        figures = {}
        for depth, (scores, labels) in enumerate(zip(logits, agreed, strict=True), start=1):
            figures[f"agreement_depth_{depth}"] = labels.mean()
            figures[f"auroc_depth_{depth}"] = auroc(scores.detach(), labels)
        return StepLosses(loss, {}, figures)

    def _write(self, memory: Memory) -> list[list[int]]:
        """Captions of each memory, standing together: the likeliest, then drawn ones."""
        marks = (self._tokenizer.start_id, self._tokenizer.end_id)
        limit = self._model.config.tasks["caption"].max_new_tokens
        per_photo = self._config.data.captions_per_photo
        return write_captions(self._model, memory, per_photo, marks, limit)


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
