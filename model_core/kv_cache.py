"""What the decoder remembers of each slot, and the attention of a block of tokens over it.

Owns the buffers and the account of which (slot, layer, position) is filled. A layer is run for a
slot on the block of positions from the first unfilled one to the newest, so earlier tokens that
left early catch up in the same matrix product as the new one (deferred catch-up), and no hole is
ever attended to.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from model_core.layers import KeyValue, attend
from model_core.model import Backbone
from model_core.pending_block import PendingBlock


class SlotCache:
    """Keys, values, memories and pending hidden states of a fixed set of slots.

    Attributes:
        lengths: ``(S,)`` positions fed so far.
        filled: ``(S, L)`` how many positions have keys and values at each layer; never grows with
            the layer.
        hidden: ``(S, T, D)`` each position's states after the deepest layer it has run; after the
            last layer only where somebody will ask for them.
    """

    def __init__(
        self, backbone: Backbone, num_slots: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        config = backbone.config
        self._backbone = backbone
        width, num_layers = config.hidden_size, config.num_decoder_layers
        heads = (config.num_heads, width // config.num_heads)
        max_memory = config.max_memory_tokens

        def buffer(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device, dtype=dtype)

        def own() -> Tensor:
            return buffer(num_layers, num_slots, config.max_target_tokens, *heads)

        def cross() -> Tensor:
            # Head by head in storage: a memory is written once and read many times.
            stored = buffer(num_layers, num_slots, heads[0], max_memory, heads[1])
            return stored.transpose(2, 3)  # (L, S, M, H, D/H)

        self._self = KeyValue(own(), own())
        # Views by layer, made once: (S, T, H, D/H), (S*T, H, D/H) and (S, M, H, D/H).
        self._self_by_layer = _by_layer(self._self)
        self._packed_by_layer = _by_layer(KeyValue(*(part.flatten(1, 2) for part in self._self)))
        self._cross_by_layer = _by_layer(KeyValue(cross(), cross()))
        self._memory = buffer(num_slots, max_memory, width)
        self._memory_lengths = np.zeros(num_slots, dtype=np.int64)
        # Slots that share a memory: each names the one that holds it, itself where it is alone.
        self._memory_owners = np.arange(num_slots)
        self._has_cross = np.zeros((num_slots, num_layers), dtype=bool)
        self.hidden = buffer(num_slots, config.max_target_tokens, width)
        self._packed_hidden = self.hidden.flatten(0, 1)
        self.lengths = np.zeros(num_slots, dtype=np.int64)
        self.filled = np.zeros((num_slots, num_layers), dtype=np.int64)

    def open(self, slots: Sequence[int], memory: Tensor) -> None:
        """Start slots that share one ``(M, D)`` memory; whatever they held is forgotten."""
        self._memory[slots[0], : len(memory)] = memory
        self._memory_owners[slots] = slots[0]
        self._memory_lengths[slots] = len(memory)
        self._has_cross[slots] = False
        self.lengths[slots] = 0
        self.filled[slots] = 0

    def append(self, rows: np.ndarray, embedded: Tensor) -> None:
        """Feed one new position to each of ``rows``; ``embedded`` is ``(R, D)``."""
        positions = self.lengths[rows]
        self.lengths[rows] += 1
        self.keep(PendingBlock(rows, positions, positions + 1, self.hidden), embedded)

    def pending(
        self, rows: np.ndarray, layer: int, previous: PendingBlock | None = None
    ) -> PendingBlock:
        """The positions of ``rows`` that have not run ``layer`` yet, the newest included.

        ``previous`` is given back where it holds the same.

        Raises:
            ValueError: A position has not run the layer before.
        """
        starts, stops = self.filled[rows, layer], self.lengths[rows]
        if layer and (self.filled[rows, layer - 1] < stops).any():
            raise ValueError(f"layer {layer} would read states that layer {layer - 1} has not run")
        if previous is not None and previous.rows is rows and (previous.starts == starts).all():
            return previous
        return PendingBlock(rows, starts, stops, self.hidden)

    def read(self, block: PendingBlock) -> Tensor:
        """``(N, D)`` states of the block's positions, ready to enter its layer."""
        return self._packed_hidden.index_select(0, block.index)

    def keep(self, block: PendingBlock, hidden: Tensor) -> None:
        """Keep the ``(N, D)`` states that the block's positions have come to."""
        self._packed_hidden.index_copy_(0, block.index, hidden)

    def mark_filled(self, layer: int, block: PendingBlock) -> None:
        """Count the block as filled at ``layer``."""
        self.filled[block.rows, layer] = block.stops

    def write(self, layer: int, block: PendingBlock, key_value: KeyValue) -> None:
        """Write ``(N, H, D/H)`` keys and values of a block at ``layer``.

        Raises:
            ValueError: The block would leave a hole below it, or overwrite what is filled.
        """
        if (self.filled[block.rows, layer] != block.starts).any():
            raise ValueError(f"layer {layer}: a block must start at the first unfilled position")
        buffers = self._packed_by_layer[layer]
        buffers.key.index_copy_(0, block.index, key_value.key)
        buffers.value.index_copy_(0, block.index, key_value.value)

    def copy_exit_states(self, rows: np.ndarray, depths: np.ndarray) -> None:
        """Fill the newest position of ``rows`` above its exit from the exit state (approximate).

        Source: arXiv 2207.07061 and 2211.11152: the exit state goes through the key and value
        projections of every deeper layer.
        """
        num_layers = self.filled.shape[1]
        for layer in range(int(depths.min()), num_layers):
            missing = rows[depths <= layer]
            starts, stops = self.filled[missing, layer], self.lengths[missing]
            block = PendingBlock(missing, starts, stops, self.hidden)
            states = self.read(block)
            self.write(layer, block, self._backbone.self_key_value(layer, states))
            self.mark_filled(layer, block)

    def truncate(self, row: int, length: int) -> None:
        """Forget the positions of ``row`` from ``length`` on."""
        self.lengths[row] = min(self.lengths[row], length)
        self.filled[row] = np.minimum(self.filled[row], length)

    def copy_rows(self, sources: np.ndarray, targets: np.ndarray) -> None:
        """Make ``targets`` copies of ``sources``: states, keys, values, and what is filled.

        Both ``(C,)``; each pair shares a memory, so nothing of the cross-attention moves, and no
        target is a source.
        """
        length = int(self.lengths[sources].max())
        source, target = self._index(sources), self._index(targets)
        for buffer in self._self:
            buffer[:, target, :length] = buffer[:, source, :length]
        self.hidden[target, :length] = self.hidden[source, :length]
        self.lengths[targets] = self.lengths[sources]
        self.filled[targets] = self.filled[sources]

    def self_key_value(self, layer: int, block: PendingBlock) -> KeyValue:
        """``(R', longest, H, D/H)`` keys and values of the rows of the block's window."""
        buffers, select, length = self._self_by_layer[layer], block.window.select, block.longest
        return KeyValue(select(buffers.key, length), select(buffers.value, length))

    def memory_length(self, block: PendingBlock) -> int:
        """Tokens of the longest memory of the block's rows."""
        return int(self._memory_lengths[block.rows].max())

    def cross_key_value(self, layer: int, block: PendingBlock, length: int) -> KeyValue:
        """``(R', length, H, D/H)`` of the memories of its window, computed on the first visit."""
        rows = block.rows
        if not self._has_cross[rows, layer].all():
            first_visit = rows[~self._has_cross[rows, layer]]
            self._project_memories(layer, np.unique(self._memory_owners[first_visit]))
        buffers, select = self._cross_by_layer[layer], block.window.select
        return KeyValue(select(buffers.key, length), select(buffers.value, length))

    def _project_memories(self, layer: int, owners: np.ndarray) -> None:
        """Compute keys and values once per memory, and keep them for every slot that shares it.

        A copy per slot: reading is then a view for most batches, and beams stay as they are.
        """
        length = int(self._memory_lengths[owners].max())
        memory = self._memory[:, :length].index_select(0, self._index(owners))
        computed = self._backbone.memory_key_value(layer, memory)
        sharing = np.flatnonzero(np.isin(self._memory_owners, owners))
        index, is_shared = self._index(sharing), len(sharing) > len(owners)
        places = self._index(np.searchsorted(owners, self._memory_owners[sharing]))
        for part, value in zip(self._cross_by_layer[layer], computed, strict=True):
            copies = value.index_select(0, places) if is_shared else value
            part[:, :length].index_copy_(0, index, copies)
        self._has_cross[sharing, layer] = True

    def memory_mask(self, block: PendingBlock) -> Tensor | None:
        """``(R', M)`` added to the scores of each row's memory; None when all are as long."""
        return block.length_mask(self._memory_lengths[block.rows])

    def num_visited_layers(self, slot: int) -> int:
        """Layers for which the slot's cross keys and values were computed."""
        return int(self._has_cross[slot].sum())

    def computed_depths(self, slot: int) -> list[int]:
        """For each position fed to the slot, how many layers it has run (or was copied through)."""
        positions = np.arange(self.lengths[slot])
        depths: list[int] = (self.filled[slot][None, :] > positions[:, None]).sum(axis=1).tolist()
        return depths

    def _index(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self.hidden.device)


def _by_layer(key_value: KeyValue) -> list[KeyValue]:
    return [KeyValue(*parts) for parts in zip(*key_value, strict=True)]


class BlockContext:
    """Attention of one pending block: a ``DecoderContext`` over the slots' caches."""

    def __init__(self, cache: SlotCache, block: PendingBlock) -> None:
        self._cache = cache
        self._block = block
        self._memory_length = cache.memory_length(block)
        self._memory_mask = cache.memory_mask(block)

    def attend_self(self, layer: int, query: Tensor, key_value: KeyValue) -> Tensor:
        """``(N, H, D/H)``; the block's keys and values are written first."""
        self._cache.write(layer, self._block, key_value)
        keys = self._cache.self_key_value(layer, self._block)
        return self._attend(query, keys, self._block.causal_mask)

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        """``(N, H, D/H)`` over each row's own memory."""
        keys = self._cache.cross_key_value(layer, self._block, self._memory_length)
        return self._attend(query, keys, self._memory_mask)

    def _attend(self, query: Tensor, key_value: KeyValue, mask: Tensor | None) -> Tensor:
        block = self._block
        return block.gather(attend(block.spread(query), key_value, mask))
