"""Recipes that train the heads of one policy for a model that stays as it is.

A recipe of this kind says what the loss of all depths' signals is; the rest is here: photos,
memories of sampled depths, captions (people's or the model's own), entailment pairs beside them.
"""

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from model_core.layers import Packing
from model_core.policies import ExitSignals
from model_core.policy_heads import PolicyHeads
from model_core.tokenizer import WordPieceTokenizer
from model_core.training.config import Objective, TrainConfig
from model_core.training.data import (
    IGNORED_TARGET,
    SentenceRows,
    TrainBatch,
    TrainData,
    sentence_rows,
)
from model_core.training.heads import start_heads
from model_core.training.recipe import StepLosses, to_device
from model_core.training.sampling import write_captions
from model_core.training.teacher_forcing import Depths, Memory, TeacherForcing, draw_depths


class HeadsRecipe:
    """Captions, and labels beside them, through a frozen model with all its exits."""

    objective: ClassVar[Objective]

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
        self.heads: PolicyHeads = start_heads(forcing.model, self.objective.value)

    @property
    def imitates_full_depth(self) -> bool:
        """True: the model's own captions are read, and the right choice is full depth's."""
        return self._config.loss.imitates_full_depth

    def loss(self, signals: Sequence[ExitSignals], targets: Tensor) -> StepLosses:
        """The loss of rows seen at depths 1..L, whose right choices are ``(N,)`` ``targets``."""
        raise NotImplementedError

    def losses(self, step: int) -> StepLosses:
        self._model.eval()  # without dropout, as in an answer
        batch = to_device(self._data.batch(step), self._model.word_embedding.weight.device)
        rng = np.random.default_rng((self._data.seed, step, 2))
        depths = draw_depths(self._model.config, self._config.loss, rng)
        with torch.no_grad():
            image = self._forcing.encode_image(batch.features, depths.image)
            captions, targets = self._caption_signals(batch, image, depths)
        caption = self.loss(captions, targets)
        total, parts = caption.total, {"caption": caption.total}
        if len(batch.pair_labels):
            with torch.no_grad():
                labels, right = self._label_signals(batch, image, depths)
            parts["entailment"] = self.loss(labels, right).total
            total = total + self._config.loss.entailment_weight * parts["entailment"]
        detached = {name: part.detach() for name, part in parts.items()}
        return StepLosses(total, {**detached, **caption.parts}, caption.figures)

    def _caption_signals(
        self, batch: TrainBatch, image: Tensor, depths: Depths
    ) -> tuple[list[ExitSignals], Tensor]:
        memory = self._forcing.caption_memory(image, batch, depths.text)
        inputs, targets = self._read_captions(batch, memory)
        packing = Packing(targets != IGNORED_TARGET)
        longest = self._model.config.tasks["caption"].max_new_tokens
        signals = self._forcing.signals(inputs, packing, memory, longest)
        return signals, self._right_choices(signals, packing.pack(targets))

    def _label_signals(
        self, batch: TrainBatch, image: Tensor, depths: Depths
    ) -> tuple[list[ExitSignals], Tensor]:
        memory = self._forcing.pair_memory(image, batch, self._data.pad_id, depths.text)
        signals = self._forcing.label_signals(memory)
        return signals, self._right_choices(signals, batch.pair_labels)

    def _right_choices(self, signals: Sequence[ExitSignals], targets: Tensor) -> Tensor:
        """``(N,)`` of full depth, or the ``targets``, which are people's."""
        return signals[-1].logits().argmax(-1) if self.imitates_full_depth else targets

    def _read_captions(self, batch: TrainBatch, memory: Memory) -> SentenceRows:
        """People's captions, or the model's own: of each photo its likeliest and drawn ones."""
        if not self.imitates_full_depth:
            return SentenceRows(batch.caption_inputs, batch.caption_targets)
        marks = (self._tokenizer.start_id, self._tokenizer.end_id)
        limit = self._model.config.tasks["caption"].max_new_tokens
        per_photo = self._config.data.captions_per_photo
        written = write_captions(self._model, memory, per_photo, marks, limit)
        return sentence_rows(written, self._tokenizer, memory.states.device)
