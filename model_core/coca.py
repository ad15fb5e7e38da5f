"""CoCa: a captioner whose lower decoder layers read sentences without seeing the photo.

The encoder runs over the photo alone, and learned queries pool its states to the memory. The lower
half of the decoder has no cross-attention, so what it makes of a sentence can be compared with
photos; the upper half sees the memory, and the exits stand there.

Source: arXiv 2205.01917. The vector of a photo is pooled from the memory (their cascade, which they
use by default). Ours: the exits, the number of queries, and where norms stand.
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from model_core.config import ModelConfig
from model_core.layers import Packing, SentenceContext, init_weights
from model_core.model import UnifiedModel
from model_core.poolers import CaptionPooler, ClassProjection, Poolers
from model_core.types import Modality


class ReadSentences(NamedTuple):
    """What the unimodal layers made of ``R`` sentences.

    Attributes:
        tokens: ``(N, D)`` states of all tokens but the last of each, packed row by row.
        summaries: ``(R, D)`` states of the class token, which has seen its whole sentence.
    """

    tokens: Tensor
    summaries: Tensor


class CocaModel(UnifiedModel):
    """Photo in, text out, with exits in the upper half of the decoder."""

    poolers: Poolers

    def __init__(self, config: ModelConfig, vocabulary_size: int) -> None:
        super().__init__(config, vocabulary_size)
        del self.encoder.text_position, self.encoder.text_norm
        self.class_embedding = nn.Parameter(0.02 * torch.randn(config.hidden_size))
        self.caption_pooler = CaptionPooler(config)
        self.caption_pooler.apply(init_weights)
        self.caption_pooler.reset()

    def _new_poolers(self) -> Poolers:
        return Poolers(self.config, ClassProjection(self.config))

    def embed_text(self, token_ids: Tensor) -> Tensor:  # noqa: ARG002
        raise ValueError("this model has no text side; its decoder reads sentences")

    def memory(self, image_hidden: Tensor, text_hidden: Tensor) -> Tensor:  # noqa: ARG002
        """``(B, Q, D)``; ``text_hidden`` is empty."""
        return self.pool_image(image_hidden)

    def pool(self, modality: Modality, hidden: Tensor) -> Tensor:
        """``(B, E)`` unit vectors of ``(B, Ti, D)`` image states, or of ``summarize``'s."""
        vectors: Tensor = (
            self.poolers.image(self.pool_image(hidden), None)
            if modality is Modality.IMAGE
            else self.poolers.text(hidden.squeeze(1))
        )
        return vectors

    def summarize(self, token_ids: Tensor, mask: Tensor) -> Tensor:
        return self.read_sentences(token_ids, mask).summaries.unsqueeze(1)

    def pool_image(self, hidden: Tensor) -> Tensor:
        """``(B, Q, D)`` memory of ``(B, Ti, D)`` image states, whatever depth they come from."""
        memory: Tensor = self.caption_pooler(self.encoder.memory_norm(hidden))
        return memory

    def read_sentences(self, token_ids: Tensor, mask: Tensor) -> ReadSentences:
        """The unimodal layers on whole sentences.

        The last token of each, its end mark, gives way to the class token: that one sees all
        others, and as the last it is seen by none.

        Args:
            token_ids: ``(R, T)`` start mark, pieces, end mark; padded.
            mask: ``(R, T)`` True at real tokens.
        """
        packing = Packing(mask)
        positions = torch.arange(mask.shape[1], device=mask.device).expand_as(mask)
        is_class = packing.pack(positions == mask.sum(dim=1, keepdim=True) - 1)  # (N+R,)
        words = self.word_embedding(packing.pack(token_ids))
        vectors = torch.where(is_class[:, None], self.class_embedding.to(words.dtype), words)
        hidden = self.decoder.embed_vectors(vectors, packing.pack(positions))
        num_layers = self.config.num_unimodal_layers
        hidden = self.decoder.run_layers(hidden, SentenceContext(packing), 0, num_layers)
        return ReadSentences(hidden[~is_class], hidden[is_class])
