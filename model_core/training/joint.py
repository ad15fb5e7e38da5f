"""The joint recipe: captions, entailment and matching together, every exit supervised.

L = L_caption + w * L_entailment + c * L_contrastive; the first two are L_avg + L_N over decoder
exits. In a share of the steps the memory comes from a random encoder depth per modality (ours).
Entailment learns from pairs about photos, and, where there is a text folder, from sentence pairs
without one, whose memory has no image tokens.
"""

import numpy as np
import torch
from torch import Tensor

from model_core.training.config import LossConfig
from model_core.training.data import TrainBatch, TrainData
from model_core.training.losses import contrastive_loss
from model_core.training.recipe import StepLosses, to_device
from model_core.training.teacher_forcing import Depths, Memory, TeacherForcing, draw_depths
from model_core.training.text_data import DrawnPairs, TextPairs


class JointRecipe:
    """Captions and entailment pairs of the same photos, and which caption is of which photo."""

    def __init__(
        self,
        forcing: TeacherForcing,
        data: TrainData,
        config: LossConfig,
        text_pairs: TextPairs | None = None,
    ) -> None:
        self._text_pairs = text_pairs
        self._forcing = forcing
        self._model = forcing.model
        self._data = data
        self._config = config

    def losses(self, step: int) -> StepLosses:
        device = self._model.word_embedding.weight.device
        batch = to_device(self._data.batch(step), device)
        rng = np.random.default_rng((self._data.seed, step, 2))
        depths = draw_depths(self._model.config, self._config, rng)
        image = self._forcing.encode_image(batch.features, depths.image)
        captions = self._caption_losses(batch, image, depths)
        parts = dict(captions.parts)
        total = captions.total
        if len(batch.pair_labels):
            pairs = self._pair_losses(batch, image, depths, rng)
            parts |= pairs.parts
            total = total + pairs.total
        if self._text_pairs is not None:
            drawn = self._text_pairs.draw(rng)
            parts["text_entailment"] = self._text_loss(drawn, depths, device)
            weight = self._config.text_entailment_weight
            weight = self._config.entailment_weight if weight is None else weight
            total = total + weight * parts["text_entailment"]
        if self._model.poolers is not None and self._config.contrastive_weight:
            # One caption of each photo: the others cost as much and bring no new negatives.
            one_each = batch.caption_texts[:: len(batch.caption_texts) // len(image)]
            parts["contrastive"] = matching_loss(
                self._forcing, image, one_each, self._data.pad_id, depths.text
            )
            total = total + self._config.contrastive_weight * parts["contrastive"]
        detached = {name: value.detach() for name, value in parts.items()}
        return StepLosses(total, detached, captions.figures)

    def _caption_losses(self, batch: TrainBatch, image: Tensor, depths: Depths) -> StepLosses:
        """What captions add to the step."""
        loss = self._forcing.sentence_loss(
            batch.caption_inputs,
            batch.caption_targets,
            self._caption_memory(batch, image, depths),
            depths.decoder,
            self._config.label_smoothing,
        )
        return StepLosses(loss, {"caption": loss})

    def _caption_memory(self, batch: TrainBatch, image: Tensor, depths: Depths) -> Memory:
        return self._forcing.caption_memory(image, batch, depths.text)

    def _pair_losses(
        self,
        batch: TrainBatch,
        image: Tensor,
        depths: Depths,
        rng: np.random.Generator,  # noqa: ARG002
    ) -> StepLosses:
        """What pairs about the photos add to the step; ``rng`` is for recipes that draw more."""
        memory = self._forcing.pair_memory(image, batch, self._data.pad_id, depths.text)
        loss = self._forcing.label_loss(batch.pair_labels, memory, depths.decoder)
        return StepLosses(self._config.entailment_weight * loss, {"entailment": loss})

    def _text_loss(self, pairs: DrawnPairs, depths: Depths, device: torch.device) -> Tensor:
        memory = self._forcing.text_memory(pairs.texts.to(device), self._data.pad_id, depths.text)
        return self._forcing.label_loss(pairs.labels.to(device), memory, depths.decoder)


def matching_loss(
    forcing: TeacherForcing, image: Tensor, token_ids: Tensor, pad_id: int, text_depth: int
) -> Tensor:
    """Contrastive loss between ``(B, Ti, D)`` image states and ``(B*C, Tt)`` padded captions."""
    poolers, encoder = forcing.model.poolers, forcing.model.encoder
    assert poolers is not None
    mask = token_ids != pad_id
    text = forcing.encode_text(token_ids, mask, text_depth)
    return contrastive_loss(
        poolers.image(encoder.memory_norm(image), None),
        poolers.text(encoder.memory_norm(text), mask),
        poolers.log_scale.exp(),
    )
