"""The classifier recipe: will this depth choose what full depth chooses? The model is frozen.

The model writes captions at full depth, the likeliest and others drawn, and reads them again with
every depth's choice beside full depth's; entailment pairs ask for one choice each. Memories come
from sampled encoder depths in a share of the steps, so that the heads hold for those too.

Source: arXiv 2207.07061, section 3.4 (binary cross entropy, the mean over depths and tokens, on
consistency with the last prediction); learning on drawn captions and shallow memories is ours.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from model_core.layers import Packing
from model_core.policies import ExitSignals
from model_core.policy_heads import AgreementClassifier
from model_core.tokenizer import WordPieceTokenizer, pad_rows
from model_core.training.config import Objective, TrainConfig
from model_core.training.data import IGNORED_TARGET, TrainBatch, TrainData
from model_core.training.heads import start_heads
from model_core.training.recipe import StepLosses, to_device
from model_core.training.sampling import sample_captions
from model_core.training.teacher_forcing import Depths, Memory, TeacherForcing, draw_depths


class ClassifierRecipe:
    """Agreement of every depth with the last one on the model's own captions, and on labels."""

    def __init__(
        self,
        forcing: TeacherForcing,
        data: TrainData,
        config: TrainConfig,
        tokenizer: WordPieceTokenizer,
    ) -> None:
        """Give the model new heads and freeze the rest of it."""
        self._forcing = forcing
        self._model = forcing.model
        self._data = data
        self._config = config
        self._tokenizer = tokenizer
        heads = start_heads(forcing.model, Objective.CLASSIFIER.value)
        assert isinstance(heads, AgreementClassifier)
        self._heads = heads

    def losses(self, step: int) -> StepLosses:
        self._model.eval()  # without dropout, as in an answer
        batch = to_device(self._data.batch(step), self._model.word_embedding.weight.device)
        rng = np.random.default_rng((self._data.seed, step, 2))
        depths = draw_depths(self._model.config, self._config.loss, rng)
        with torch.no_grad():
            image = self._forcing.encode_image(batch.features, depths.image)
            captions = self._caption_signals(batch, image, depths)
        loss, figures = self._agreement(captions)
        parts = {"caption": loss}
        if len(batch.pair_labels):
            with torch.no_grad():
                labels = self._label_signals(batch, image, depths)
            parts["entailment"], _ = self._agreement(labels)
            loss = loss + self._config.loss.entailment_weight * parts["entailment"]
        return StepLosses(loss, {name: part.detach() for name, part in parts.items()}, figures)

    def _caption_signals(
        self, batch: TrainBatch, image: Tensor, depths: Depths
    ) -> list[ExitSignals]:
        text = self._forcing.encode_text(batch.instruction, None, depths.text)
        memory = self._forcing.memory(image, text.expand(len(image), -1, -1), None)
        rows = self._write(memory)
        targets = pad_rows(rows, IGNORED_TARGET).to(image.device)
        tokenizer = self._tokenizer
        inputs = pad_rows([[tokenizer.start_id, *row[:-1]] for row in rows], tokenizer.pad_id)
        packing = Packing(targets != IGNORED_TARGET)
        longest = self._model.config.tasks["caption"].max_new_tokens
        return self._forcing.signals(inputs.to(image.device), packing, memory, longest)

    def _write(self, memory: Memory) -> list[list[int]]:
        """Captions of each memory, standing together: the likeliest, then drawn ones."""
        marks = (self._tokenizer.start_id, self._tokenizer.end_id)
        limit = self._model.config.tasks["caption"].max_new_tokens
        rows = [[row] for row in sample_captions(self._model, memory, 1, marks, None, limit)]
        num_drawn = self._config.data.captions_per_photo - 1
        if num_drawn:
            seed = int(torch.randint(2**31, ()))
            generator = torch.Generator(memory.states.device).manual_seed(seed)
            drawn = sample_captions(self._model, memory, num_drawn, marks, generator, limit)
            for number, row in enumerate(drawn):
                rows[number // num_drawn].append(row)
        return [row for of_photo in rows for row in of_photo]

    def _label_signals(self, batch: TrainBatch, image: Tensor, depths: Depths) -> list[ExitSignals]:
        text_mask = batch.pair_texts != self._data.pad_id
        text = self._forcing.encode_text(batch.pair_texts, text_mask, depths.text)
        memory = self._forcing.memory(image.index_select(0, batch.pair_photos), text, text_mask)
        return self._forcing.label_signals(memory)

    def _agreement(self, signals: Sequence[ExitSignals]) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss over depths 1..L-1, and per depth how well the heads tell who agrees."""
        *shallow, last = signals
        with torch.no_grad():
            final = last.logits().argmax(-1)
            agreed = [(here.logits().argmax(-1) == final).float() for here in shallow]
        logits = [self._heads.logits(here).float() for here in shallow]
        loss = functional.binary_cross_entropy_with_logits(torch.stack(logits), torch.stack(agreed))
        figures = {}
        for depth, (scores, labels) in enumerate(zip(logits, agreed, strict=True), start=1):
            figures[f"agreement_depth_{depth}"] = labels.mean()
            figures[f"auroc_depth_{depth}"] = auroc(scores.detach(), labels)
        return loss, figures


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
