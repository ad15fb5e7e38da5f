"""The contrastive recipe: the poolers alone learn, on hundreds of photos at a time.

Matching needs many photos in a step, more than the joint recipe can afford. The encoder is frozen,
so photos and captions go through it once, at full depth, before the first step; a step is then two
small poolers (arXiv 2205.01917 trains them with the rest, on thousands of photos a step).
"""

import numpy as np
import torch
from rich.progress import track
from torch import Tensor

from model_core.errors import ConfigError
from model_core.tokenizer import pad_rows
from model_core.training.config import TrainConfig
from model_core.training.data import TrainData
from model_core.training.losses import contrastive_loss
from model_core.training.recipe import StepLosses
from model_core.training.teacher_forcing import TeacherForcing

CHUNK_SIZE = 64


class ContrastiveRecipe:
    """Each photo of a step from one of its views, with one of its captions."""

    def __init__(self, forcing: TeacherForcing, data: TrainData, config: TrainConfig) -> None:
        """Freeze everything but the poolers, and encode the training split.

        Raises:
            ConfigError: The model has none.
        """
        if forcing.model.poolers is None:
            raise ConfigError("model.embedding_size: must be above 0 for objective contrastive")
        forcing.model.requires_grad_(False)
        forcing.model.poolers.requires_grad_(True)
        forcing.model.eval()
        self._poolers = forcing.model.poolers
        self._forcing = forcing
        self._data = data
        self._size = config.data.photos_per_batch
        self._device = forcing.model.word_embedding.weight.device
        self._views = self._encode_views(config.data.max_views)
        self._texts = self._encode_captions()

    def losses(self, step: int) -> StepLosses:
        rng = np.random.default_rng((self._data.seed, step, 2))
        photos = self._data.photos(step, self._size)
        views = rng.integers(len(self._views), size=len(photos))
        images = self._views[torch.from_numpy(views), torch.tensor(photos)]
        captions = [self._draw_caption(photo, rng) for photo in photos]
        width = max(len(caption) for caption in captions)
        texts = images.new_zeros(len(photos), width, images.shape[-1])
        mask = torch.zeros(len(photos), width, dtype=torch.bool)
        for row, caption in enumerate(captions):
            texts[row, : len(caption)] = caption
            mask[row, : len(caption)] = True
        loss = contrastive_loss(
            self._poolers.image(images.to(self._device).float(), None),
            self._poolers.text(texts.to(self._device).float(), mask.to(self._device)),
            self._poolers.log_scale.exp(),
        )
        return StepLosses(loss, {"contrastive": loss.detach()})

    def _draw_caption(self, photo: int, rng: np.random.Generator) -> Tensor:
        captions = self._texts[photo]
        return captions[int(rng.integers(len(captions)))]

    @torch.no_grad()
    def _encode_views(self, max_views: int) -> Tensor:
        """``(V, N, Ti, D)`` float16 states of the first views of every photo."""
        encoder = self._forcing.model.encoder
        num_layers = self._forcing.model.config.num_encoder_layers
        encoded = []
        for view in self._data.features[:max_views]:
            starts = range(0, len(view), CHUNK_SIZE)
            chunks = []
            for start in track(starts, description="photos through the encoder"):
                features = torch.from_numpy(view[start : start + CHUNK_SIZE].astype(np.float32))
                states = self._forcing.encode_image(features.to(self._device), num_layers)
                chunks.append(encoder.memory_norm(states).half().cpu())
            encoded.append(torch.cat(chunks))
        return torch.stack(encoded)

    @torch.no_grad()
    def _encode_captions(self) -> list[list[Tensor]]:
        """By photo and caption, ``(Tt, D)`` float16 states."""
        encoder = self._forcing.model.encoder
        num_layers = self._forcing.model.config.num_encoder_layers
        encoded: list[list[Tensor]] = []
        photos = range(0, len(self._data.references), CHUNK_SIZE)
        for start in track(photos, description="captions through the encoder"):
            rows = [
                self._data.caption_rows(photo)
                for photo in range(start, min(start + CHUNK_SIZE, len(self._data.references)))
            ]
            token_ids = pad_rows([row for of_photo in rows for row in of_photo], self._data.pad_id)
            mask = (token_ids != self._data.pad_id).to(self._device)
            states = self._forcing.encode_text(token_ids.to(self._device), mask, num_layers)
            normed = iter(encoder.memory_norm(states).half().cpu())
            encoded += [[next(normed)[: len(row)].clone() for row in of_photo] for of_photo in rows]
        return encoded
