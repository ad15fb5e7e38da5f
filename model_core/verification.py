"""Lossless decoding: tokens drafted at shallow exits are checked at full depth, several at once.

Drafts have left the layers above their exits undone, so checking them is the same catch-up that a
deep token asks for: one block of positions through the remaining layers, then one reading of the
vocabulary for all of them. A draft that full depth would not have chosen is replaced by what it
would have, and what followed it is forgotten. Greedy answers are those of full depth.

Source: arXiv 2404.16710 (LayerSkip's self-speculation); per row inside a batch is ours.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch

from model_core.kv_cache import BlockContext, SlotCache
from model_core.model import Backbone
from model_core.pending_block import PendingBlock


@dataclass
class Draft:
    """Tokens of one request that full depth has not confirmed yet.

    Attributes:
        first: Position that chose the first of them.
        token_ids: In order.
    """

    first: int = 0
    token_ids: list[int] = field(default_factory=list)

    def is_due(self, lookahead: int, max_new_tokens: int, end_id: int) -> bool:
        """True when there is nothing more to draft before full depth has spoken."""
        length = len(self.token_ids)
        is_over = self.token_ids[-1] == end_id or self.first + length >= max_new_tokens
        return is_over or length >= lookahead

    def settle(self, choices: list[int]) -> list[int]:
        """Tokens that full depth stands for, given its ``choices`` at the same positions.

        The drafts up to the first that it would not have chosen, and its own choice there.
        """
        settled = []
        for drafted, chosen in zip(self.token_ids, choices, strict=True):
            settled.append(chosen)
            if drafted != chosen:
                break
        self.first += len(settled)
        self.token_ids = []
        return settled


@dataclass(frozen=True)
class Verified:
    """What full depth says about the drafts of one row.

    Attributes:
        choices: Its token at each drafted position.
        positions_run: Pairs of a position and a layer that were computed for it.
        position_sum: Sum of the positions over these pairs.
        num_layers: What full depth is.
    """

    choices: list[int]
    positions_run: int
    position_sum: int
    num_layers: int


def verify(
    backbone: Backbone, cache: SlotCache, drafts: Mapping[int, Draft]
) -> dict[int, Verified]:
    """Run everything that is pending in the rows of ``drafts``, and choose at full depth.

    Every pending position of a row is one of its drafts': what came before was verified.
    """
    rows = np.array(sorted(drafts), dtype=np.int64)
    filled_before, stops = cache.filled[rows].copy(), cache.lengths[rows]
    num_layers = backbone.config.num_decoder_layers
    for layer in range(num_layers):
        behind = rows[cache.filled[rows, layer] < stops]
        if not len(behind):
            continue
        block = cache.pending(behind, layer)
        states = backbone.run_decoder_layer(layer, cache.read(block), BlockContext(cache, block))
        cache.mark_filled(layer, block)
        cache.keep(block, states)
    firsts = np.array([drafts[int(row)].first for row in rows], dtype=np.int64)
    drafted = PendingBlock(rows, firsts, stops, cache.hidden)
    features = backbone.exit_features(num_layers, cache.read(drafted))
    choices = backbone.exit_logits(features).argmax(dim=-1)
    counts = stops[:, None] - filled_before  # (R, L)
    sums = counts * (filled_before + stops[:, None] - 1) // 2
    per_row = torch.split(choices, drafted.counts.tolist())
    return {
        int(row): Verified(chosen.tolist(), int(run), int(total), num_layers)
        for row, chosen, run, total in zip(
            rows, per_row, counts.sum(axis=1), sums.sum(axis=1), strict=True
        )
    }
