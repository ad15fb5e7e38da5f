"""The text embedding recipe: a text side with words of its own learns, and the rest is held.

The text side starts again from MiniLM's words (``convert.restart_text_embedding``) and learns
entailment with the encoder's and the decoder's layers, which both modalities share. So a frozen
teacher holds what has to stay: its image states, and its full-depth distributions over people's
captions, which every exit imitates from memories of any depth. Ours.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from model_core.errors import ConfigError
from model_core.layers import Packing
from model_core.model import UnifiedModel
from model_core.training.config import LossConfig
from model_core.training.data import IGNORED_TARGET, TrainBatch, TrainData
from model_core.training.joint import JointRecipe
from model_core.training.losses import deep_supervision
from model_core.training.recipe import StepLosses
from model_core.training.teacher_forcing import Depths, TeacherForcing
from model_core.training.text_data import TextPairs


class TextEmbeddingRecipe(JointRecipe):
    """Entailment with and without photos, while captions and image states imitate a teacher's."""

    def __init__(
        self,
        forcing: TeacherForcing,
        teacher: TeacherForcing,
        data: TrainData,
        config: LossConfig,
        text_pairs: TextPairs | None = None,
    ) -> None:
        """Freeze tied words, image side, exit head's bias and poolers.

        Raises:
            ConfigError: The text side of the model has no words of its own.
        """
        super().__init__(forcing, data, config, text_pairs)
        self._teacher = teacher
        teacher.model.requires_grad_(False).eval()
        free_text_side(forcing.model)

    def _caption_losses(self, batch: TrainBatch, image: Tensor, depths: Depths) -> StepLosses:
        teacher = self._teacher
        packing = Packing(batch.caption_targets != IGNORED_TARGET)
        with torch.no_grad():
            layers = teacher.model.config.num_encoder_layers
            states = teacher.encode_image(batch.features, depths.image)
            full = teacher.model.encoder.run_layers(states, None, depths.image, layers)
            memory = teacher.caption_memory(full, batch, layers)
            wanted = teacher.full_depth_logits(batch.caption_inputs, packing, memory)
        own = self._caption_memory(batch, image, depths)
        losses = self._forcing.imitation_losses(
            batch.caption_inputs, packing, own, depths.decoder, wanted
        )
        distance = functional.mse_loss(image.float(), states.float()) / states.float().var()
        total = self._config.imitation_weight * deep_supervision(losses)
        return StepLosses(
            total + self._config.image_weight * distance,
            {"imitation": losses[0], "caption": losses[-1], "image": distance},
        )


def free_text_side(model: UnifiedModel) -> None:
    """Let the text side, the layers of encoder and decoder and the adapters learn; nothing else.

    Raises:
        ConfigError: The text side has no words of its own.
    """
    if not model.config.text_embedding_rank:
        raise ConfigError("model.text_embedding_rank: must be above 0 for this objective")
    encoder, tied = model.encoder, model.word_embedding.weight
    model.requires_grad_(False)
    parts: tuple[nn.Module, ...] = (
        encoder.word_embedding,
        encoder.text_position,
        encoder.text_norm,
        encoder.layers,
        encoder.memory_norm,
        model.decoder.layers,
        model.exit_head.adapters,
    )
    for part in parts:
        part.requires_grad_(True)
    tied.requires_grad_(False)
