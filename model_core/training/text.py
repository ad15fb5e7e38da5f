"""The text recipe: sentences from what is left of them or from other captions of the same photo
(ours: the nearest thing to describing a photo that text alone has), and labels of sentence pairs.

It teaches the decoder, its exits and the encoder's text side the language of captions before they
see a photo; the memory has no image tokens.
"""

import numpy as np
from torch import Tensor

from model_core.training.config import LossConfig
from model_core.training.recipe import StepLosses, to_device
from model_core.training.teacher_forcing import Memory, TeacherForcing, draw_depths
from model_core.training.text_data import TextData


class TextRecipe:
    """Infilling and textual entailment."""

    def __init__(self, forcing: TeacherForcing, data: TextData, config: LossConfig) -> None:
        self._forcing = forcing
        self._data = data
        self._config = config

    def losses(self, step: int) -> StepLosses:
        model = self._forcing.model
        batch = to_device(self._data.batch(step), model.word_embedding.weight.device)
        rng = np.random.default_rng((self._data.seed, step, 2))
        depths = draw_depths(model.config, self._config, rng)
        sentence = self._forcing.sentence_loss(
            batch.inputs,
            batch.targets,
            self._memory(batch.shown, depths.text),
            depths.decoder,
            self._config.label_smoothing,
        )
        label = self._forcing.label_loss(
            batch.pair_labels, self._memory(batch.pair_texts, depths.text), depths.decoder
        )
        parts = {"sentence": sentence.detach(), "entailment": label.detach()}
        return StepLosses(sentence + self._config.entailment_weight * label, parts)

    def _memory(self, token_ids: Tensor, depth: int) -> Memory:
        return self._forcing.text_memory(token_ids, self._data.pad_id, depth)
