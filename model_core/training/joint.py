"""The joint recipe: captions and entailment together, every exit supervised, the stem frozen.

L = L_caption + w * L_entailment; each of them is L_avg + L_N over decoder exits. In a share of the
steps the memory comes from a random encoder depth per modality (ours), because a decoder that only
ever saw full-depth memories collapses when a modality leaves early.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_core.layers import Packing, TeacherForcedContext
from model_core.model import UnifiedModel
from model_core.tokenizer import WordPieceTokenizer
from model_core.training.config import LossConfig
from model_core.training.data import IGNORED_TARGET, TrainBatch
from model_core.training.losses import caption_loss, deep_supervision


class Depths(NamedTuple):
    """The encoder depths and decoder exits of one step (numbers of layers)."""

    image: int
    text: int
    decoder: tuple[int, ...]


class JointLosses(NamedTuple):
    """What the step minimises, and its parts."""

    total: Tensor
    caption: Tensor
    entailment: Tensor


class JointRecipe:
    """Draws the depths of a step and sums its losses."""

    def __init__(self, model: UnifiedModel, tokenizer: WordPieceTokenizer, config: LossConfig):
        self._model = model
        self._pad_id = tokenizer.pad_id
        self._start_id = tokenizer.start_id
        self._config = config
        words = model.config.tasks["entailment"].allowed_outputs.values()
        self._label_ids = torch.tensor([tokenizer.word_id(word) for word in words])
        model.stem.requires_grad_(False)

    def depths(self, rng: np.random.Generator) -> Depths:
        """Depths of one step: full, or in a share of the steps any; the last exit always."""
        sizes = self._model.config
        image = text = sizes.num_encoder_layers
        if rng.random() < self._config.shallow_memory_fraction:
            image, text = (int(depth) for depth in rng.integers(1, image + 1, size=2))
        shallow = rng.permutation(np.arange(1, sizes.num_decoder_layers))
        chosen = sorted(int(depth) for depth in shallow[: self._config.exits_per_step - 1])
        return Depths(image, text, (*chosen, sizes.num_decoder_layers))

    def losses(self, batch: TrainBatch, depths: Depths) -> JointLosses:
        """The losses of a batch with the memory and the exits at ``depths``."""
        encoder = self._model.encoder
        image = encoder.run_layers(encoder.embed_image(batch.features), None, 0, depths.image)
        caption = self._caption_loss(batch, image, depths)
        entailment = caption.new_zeros(())
        if len(batch.pair_labels):
            entailment = self._entailment_loss(batch, image, depths)
        total = caption + self._config.entailment_weight * entailment
        return JointLosses(total, caption.detach(), entailment.detach())

    def _caption_loss(self, batch: TrainBatch, image: Tensor, depths: Depths) -> Tensor:
        text = self._encode_text(batch.instruction, None, depths.text)
        memory = self._model.memory(image, text.expand(len(image), -1, -1))
        memory_mask = torch.ones(memory.shape[:2], dtype=torch.bool, device=memory.device)
        packing = Packing(batch.caption_targets != IGNORED_TARGET)
        targets = packing.pack(batch.caption_targets)
        features = self._exit_features(batch.caption_inputs, packing, memory, memory_mask, depths)
        return deep_supervision(
            [
                caption_loss(self._model.exit_logits(exit), targets, self._config.label_smoothing)
                for exit in features
            ]
        )

    def _entailment_loss(self, batch: TrainBatch, image: Tensor, depths: Depths) -> Tensor:
        text_mask = batch.pair_texts != self._pad_id
        text = self._encode_text(batch.pair_texts, text_mask, depths.text)
        photos = image.index_select(0, batch.pair_photos)
        memory = self._model.memory(photos, text)
        memory_mask = torch.cat([text_mask.new_ones(photos.shape[:2]), text_mask], dim=1)
        starts = torch.full((len(photos), 1), self._start_id, device=image.device)
        packing = Packing(torch.ones_like(starts, dtype=torch.bool))
        features = self._exit_features(starts, packing, memory, memory_mask, depths)
        labels = self._label_ids.to(image.device)
        return deep_supervision(
            [
                caption_loss(self._model.exit_logits(exit, labels), batch.pair_labels, 0.0)
                for exit in features
            ]
        )

    def _encode_text(self, token_ids: Tensor, mask: Tensor | None, depth: int) -> Tensor:
        encoder = self._model.encoder
        return encoder.run_layers(encoder.embed_text(token_ids), mask, 0, depth)

    def _exit_features(
        self,
        inputs: Tensor,
        packing: Packing,
        memory: Tensor,
        memory_mask: Tensor,
        depths: Depths,
    ) -> list[Tensor]:
        decoder = self._model.decoder
        context = TeacherForcedContext(decoder.layers, packing, memory, memory_mask)
        positions = torch.arange(inputs.shape[1], device=inputs.device).expand_as(inputs)
        hidden = decoder.embed(packing.pack(inputs), packing.pack(positions))
        features = []
        previous = 0
        for depth in depths.decoder:
            hidden = decoder.run_layers(hidden, context, previous, depth)
            features.append(self._model.exit_features(depth, hidden))
            previous = depth
        return features
