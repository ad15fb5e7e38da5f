"""The distillation recipe: every exit, from any memory, imitates full depth of a frozen teacher.

The teacher writes captions of the photos, its likeliest and drawn ones, from full-depth memories;
the student reads them with memories of sampled encoder depths. So leaving early, at whatever
site, is taught to change as little as it can, and full depth is held where it was. Entailment
learns from labels beside it.

Source: self-distillation of exits as in arXiv 2308.00255; the frozen teacher, its own captions and
the shallow memories are ours.
"""

import torch
from torch import Tensor

from model_core.layers import Packing
from model_core.tokenizer import WordPieceTokenizer
from model_core.training.config import LossConfig
from model_core.training.data import IGNORED_TARGET, TrainBatch, TrainData, sentence_rows
from model_core.training.joint import JointRecipe
from model_core.training.losses import deep_supervision
from model_core.training.recipe import StepLosses
from model_core.training.sampling import write_captions
from model_core.training.teacher_forcing import Depths, Memory, TeacherForcing
from model_core.training.text_data import TextPairs


class DistilRecipe(JointRecipe):
    """The joint recipe with the teacher's captions, and its distributions as their targets."""

    def __init__(
        self,
        forcing: TeacherForcing,
        teacher: TeacherForcing,
        data: TrainData,
        config: LossConfig,
        tokenizer: WordPieceTokenizer,
        text_pairs: TextPairs | None = None,
    ) -> None:
        """``teacher`` is of another model, which stays as it is."""
        super().__init__(forcing, data, config, text_pairs)
        self._teacher = teacher
        self._tokenizer = tokenizer
        teacher.model.requires_grad_(False).eval()

    def _caption_losses(self, batch: TrainBatch, image: Tensor, depths: Depths) -> StepLosses:
        with torch.no_grad():
            memory = self._teacher_memory(batch)
            rows = self._write(memory)
            inputs, targets = sentence_rows(rows, self._tokenizer, image.device)
            packing = Packing(targets != IGNORED_TARGET)
            wanted = self._teacher.full_depth_logits(inputs, packing, memory)
        own = self._caption_memory(batch, image, depths)
        losses = self._forcing.imitation_losses(inputs, packing, own, depths.decoder, wanted)
        return StepLosses(deep_supervision(losses), {"imitation": losses[0], "caption": losses[-1]})

    def _teacher_memory(self, batch: TrainBatch) -> Memory:
        layers = self._teacher.model.config.num_encoder_layers
        image = self._teacher.encode_image(batch.features, layers)
        return self._teacher.caption_memory(image, batch, layers)

    def _write(self, memory: Memory) -> list[list[int]]:
        model = self._teacher.model
        limit = min(model.config.tasks["caption"].max_new_tokens, self._config.sample_max_tokens)
        marks = (self._tokenizer.start_id, self._tokenizer.end_id)
        return write_captions(model, memory, self._config.samples_per_photo, marks, limit)
