"""Text-to-image and image-to-text retrieval with pooled encoder states, at any exit depths.

The vectors are those of ``model_core.embedding``. A caption finds its photo by the largest cosine,
and a photo one of its captions.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict
from torch import Tensor

from model_core.config import ExitConfig
from model_core.embedding import Embedded, embed, join
from model_core.evaluation.benchmark import Conditions, conditions
from model_core.evaluation.examples import Example, batches
from model_core.evaluation.metrics import mean, relative_saving
from model_core.policies import ExitPolicy
from model_core.predictor import Content, Predictor
from model_core.request import EMBEDDING_TASK
from model_core.types import Modality

BATCH_SIZE = 64
CUTS = (1, 5, 10)


class Recall(BaseModel):
    """How early the right item stands in the order of similarity; rank 1 is first.

    Attributes:
        at: Share of queries whose right item is among the first K, by K.
        median_rank: Of the right item.
    """

    model_config = ConfigDict(extra="forbid")

    at: dict[int, float]
    median_rank: float


class RetrievalPoint(BaseModel):
    """One setting of the encoder.

    Attributes:
        name: Of the setting.
        exits: What ran; its decoder plays no part.
        text_to_image: Each caption among all photos.
        image_to_text: Each photo among all captions; the best of its own counts.
        image_depth: Mean layers run per photo.
        text_depth: Mean layers run per caption; 0 where the encoder takes no text.
        layers_saved: Share of the encoder's layers, both modalities counted alike.
    """

    model_config = ConfigDict(extra="forbid")

    name: str
    exits: ExitConfig
    text_to_image: Recall
    image_to_text: Recall
    image_depth: float
    text_depth: float
    layers_saved: float


class RetrievalResults(BaseModel):
    """Retrieval under several settings."""

    model_config = ConfigDict(extra="forbid")

    split: str
    num_photos: int
    num_captions: int
    conditions: Conditions
    points: list[RetrievalPoint]


class Retriever:
    """Photos and captions of a split as vectors, under any setting; each setting encodes once."""

    def __init__(
        self, predictor: Predictor, examples: Sequence[Example], features: Mapping[Path, Tensor]
    ) -> None:
        """Check that the model can do it.

        Args:
            predictor: A model with poolers.
            examples: Photos with their captions as references.
            features: ``(Ti, C)`` stem features by photo.

        Raises:
            InputError: The checkpoint was trained without poolers.
        """
        predictor.check_poolers()
        self._predictor = predictor
        self._examples, self._features = examples, features
        self._captions = [caption for item in examples for caption in item.references]
        self._embedded: dict[tuple[Modality, ExitPolicy], Embedded] = {}

    @property
    def owners(self) -> np.ndarray:
        """``(captions,)`` number of the photo that each caption is about."""
        return np.repeat(
            np.arange(len(self._examples)), [len(item.references) for item in self._examples]
        )

    def measure(self, name: str, exits: ExitConfig) -> RetrievalPoint:
        """Both directions under one setting."""
        photos = [self._features[item.image] for item in self._examples]
        images = self._embed(Modality.IMAGE, photos, exits)
        texts = self._embed(Modality.TEXT, self._captions, exits)
        similarity = (texts.vectors @ images.vectors.T).cpu().numpy()
        info = self._predictor.info
        image_depth, text_depth = mean(images.depths), mean(texts.depths)
        depths = (image_depth, text_depth) if info.has_text_side else (image_depth,)
        return RetrievalPoint(
            name=name,
            exits=exits,
            text_to_image=recall(photo_ranks(similarity, self.owners)),
            image_to_text=recall(caption_ranks(similarity, self.owners)),
            image_depth=image_depth,
            text_depth=text_depth,
            layers_saved=relative_saving(mean(depths), info.num_encoder_layers),
        )

    def _embed(self, modality: Modality, items: Sequence[Content], exits: ExitConfig) -> Embedded:
        key = (modality, getattr(exits, modality.value))
        if key not in self._embedded:
            parts = [embed(self._predictor, part, exits) for part in batches(items, BATCH_SIZE)]
            self._embedded[key] = join(parts)
        return self._embedded[key]


def photo_ranks(similarity: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """``(captions,)`` rank of each caption's photo among all photos; ties count against it.

    Args:
        similarity: ``(captions, photos)``.
        owners: ``(captions,)`` the right photo of each caption.
    """
    right = similarity[np.arange(len(owners)), owners]
    ranks: np.ndarray = (similarity >= right[:, None]).sum(axis=1)
    return ranks


def caption_ranks(similarity: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """``(photos,)`` rank of each photo's best own caption among all captions.

    A caption of another photo that is as similar counts against it.
    """
    is_own = owners[:, None] == np.arange(similarity.shape[1])[None, :]
    best = np.where(is_own, similarity, -np.inf).max(axis=0)
    ranks: np.ndarray = ((similarity >= best[None, :]) & ~is_own).sum(axis=0) + 1
    return ranks


def recall(ranks: np.ndarray) -> Recall:
    """Recall at each of ``CUTS``, and the median, of ``(N,)`` ranks."""
    return Recall(
        at={cut: float((ranks <= cut).mean()) for cut in CUTS},
        median_rank=float(np.median(ranks)),
    )


def retrieve(
    predictor: Predictor,
    split: str,
    examples: Sequence[Example],
    features: Mapping[Path, Tensor],
    settings: Mapping[str, ExitConfig],
) -> RetrievalResults:
    """Retrieval on ``examples`` under each of the named settings.

    Raises:
        InputError: The checkpoint was trained without poolers.
    """
    retriever = Retriever(predictor, examples, features)
    return RetrievalResults(
        split=split,
        num_photos=len(examples),
        num_captions=sum(len(item.references) for item in examples),
        conditions=conditions(predictor, EMBEDDING_TASK, len(examples)),
        points=[retriever.measure(name, exits) for name, exits in settings.items()],
    )
