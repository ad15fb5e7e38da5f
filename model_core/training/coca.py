"""The CoCa recipe: captions and matching in one pass, the upper exits supervised.

L = L_caption + c * L_contrastive, where L_caption is L_avg + L_N over the exits of a step; the
default c of one half is the paper's 2 : 1. The unimodal layers read each caption once, for both
losses. In a share of the steps the photo comes from a random encoder depth (ours).

Source: arXiv 2205.01917; 2311.08623 for the exits.
"""

import numpy as np
import torch

from model_core.coca import CocaModel
from model_core.layers import Packing
from model_core.training.config import LossConfig
from model_core.training.data import IGNORED_TARGET, TrainData
from model_core.training.losses import contrastive_loss
from model_core.training.recipe import StepLosses, to_device
from model_core.training.teacher_forcing import Memory, TeacherForcing, draw_depths


class CocaRecipe:
    """Photos with several captions each; every photo of a step is compared with every caption."""

    def __init__(
        self, forcing: TeacherForcing, model: CocaModel, data: TrainData, config: LossConfig
    ) -> None:
        self._forcing = forcing
        self._model = model
        self._data = data
        self._config = config

    def losses(self, step: int) -> StepLosses:
        model = self._model
        batch = to_device(self._data.batch(step), model.word_embedding.weight.device)
        rng = np.random.default_rng((self._data.seed, step, 2))
        depths = draw_depths(model.config, self._config, rng)
        states = model.pool_image(self._forcing.encode_image(batch.features, depths.image))
        memory = Memory(
            states, torch.ones(states.shape[:2], dtype=torch.bool, device=states.device)
        )
        read = model.read_sentences(batch.caption_texts, batch.caption_texts != self._data.pad_id)
        packing = Packing(batch.caption_targets != IGNORED_TARGET)
        features = self._forcing.exit_features_from(
            model.config.num_unimodal_layers, read.tokens, packing, memory, depths.decoder
        )
        caption = self._forcing.supervised(
            features, packing.pack(batch.caption_targets), self._config.label_smoothing
        )
        contrastive = contrastive_loss(
            model.poolers.image(states, None),
            model.poolers.text(read.summaries),
            model.poolers.log_scale.exp(),
        )
        return StepLosses(
            caption + self._config.contrastive_weight * contrastive,
            {"caption": caption.detach(), "contrastive": contrastive.detach()},
            {"temperature": (-model.poolers.log_scale.detach()).exp()},
        )
