"""Word vectors of the encoder's text side, made of those that the decoder and its exit head use.

Tied vectors must serve the exit head, and so a text side that starts pre-trained loses what it
knew about words (``docs/log.md``, 2026-11-28, has the measurement). Vectors of its own would be a
second table; a linear map of the first one and a low-rank correction take a tenth of that room.

Source: the correction is that of LoRA (arXiv 2106.09685), on an embedding; the map is ours.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

CORRECTION_DEVIATION = 0.02


class TextEmbedding(nn.Module):
    """``A w + b + U c``: a map of each tied vector ``w`` and, by piece, a correction of rank R.

    It starts as the tied vectors themselves.

    Attributes:
        projection: ``(D, D)``, applied from the right.
        bias: ``(D,)``.
        codes: ``(V, R)`` of the correction.
        basis: ``(R, D)`` that they are coordinates in.
        table: ``(V, D)`` all vectors, once folded.
    """

    table: Tensor | None

    def __init__(self, word_embedding: nn.Embedding, rank: int) -> None:
        super().__init__()
        num_pieces, width = word_embedding.weight.shape
        self.word_embedding = word_embedding
        self.projection = nn.Parameter(torch.eye(width))
        self.bias = nn.Parameter(torch.zeros(width))
        self.codes = nn.Parameter(torch.zeros(num_pieces, rank))
        self.basis = nn.Parameter(torch.randn(rank, width) * CORRECTION_DEVIATION)
        self.register_buffer("table", None, persistent=False)

    def forward(self, token_ids: Tensor) -> Tensor:
        """``(..., D)`` vectors of ``(...)`` ids."""
        if self.table is not None:
            return functional.embedding(token_ids, self.table)
        return self._vectors(self.word_embedding(token_ids), self.codes[token_ids])

    def fold(self) -> None:
        """Compute every vector once: from now on a piece is looked up, and changes are not seen."""
        self.table = self._vectors(self.word_embedding.weight, self.codes).detach()

    @torch.no_grad()
    def fit(self, vectors: Tensor) -> None:
        """Come as near to ``(V, D)`` vectors as map and correction can.

        The map is that of least squares; the correction is the best of its rank to what the map
        leaves (Eckart and Young).
        """
        words = self.word_embedding.weight
        inputs = torch.cat([words, words.new_ones(len(words), 1)], dim=1)
        solution = torch.linalg.lstsq(inputs, vectors).solution
        self.projection.copy_(solution[:-1])
        self.bias.copy_(solution[-1])
        left, deviations, right = torch.linalg.svd(vectors - inputs @ solution, full_matrices=False)
        rank = min(self.codes.shape[1], len(deviations))
        shares = deviations[:rank].sqrt()
        self.codes.zero_()[:, :rank] = left[:, :rank] * shares
        self.basis.zero_()[:rank] = right[:rank] * shares[:, None]

    def _vectors(self, words: Tensor, codes: Tensor) -> Tensor:
        return words @ self.projection + self.bias + codes @ self.basis
