"""The contrastive recipe: the poolers alone learn, on many photos at a time.

Matching needs many photos in a step, more than the joint recipe can afford. With the encoder frozen
a step is a forward pass and two small poolers (arXiv 2205.01917 trains them with the rest).
"""

import numpy as np

from model_core.errors import ConfigError
from model_core.training.config import LossConfig
from model_core.training.data import TrainData
from model_core.training.joint import matching_loss
from model_core.training.recipe import StepLosses, to_device
from model_core.training.teacher_forcing import TeacherForcing, draw_depths


class ContrastiveRecipe:
    """Photos and their captions, from memories of sampled depths as in the joint recipe."""

    def __init__(self, forcing: TeacherForcing, data: TrainData, config: LossConfig) -> None:
        """Freeze everything but the poolers.

        Raises:
            ConfigError: The model has none.
        """
        if forcing.model.poolers is None:
            raise ConfigError("model.embedding_size: must be above 0 for objective contrastive")
        forcing.model.requires_grad_(False)
        forcing.model.poolers.requires_grad_(True)
        self._forcing = forcing
        self._data = data
        self._config = config

    def losses(self, step: int) -> StepLosses:
        model = self._forcing.model
        batch = to_device(self._data.batch(step), model.word_embedding.weight.device)
        depths = draw_depths(
            model.config, self._config, np.random.default_rng((self._data.seed, step, 2))
        )
        image = self._forcing.encode_image(batch.features, depths.image)
        loss = matching_loss(
            self._forcing, image, batch.caption_texts, self._data.pad_id, depths.text
        )
        return StepLosses(loss, {"contrastive": loss.detach()})
