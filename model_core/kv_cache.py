"""What the decoder remembers of each slot, and the attention of a block of tokens over it.

Owns the buffers and the account of which (slot, layer, position) is filled. A layer is run for a
slot on the block of positions from the first unfilled one to the newest, so earlier tokens that
left early catch up in the same matrix product as the new one (deferred catch-up), and no hole is
ever attended to.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from model_core.layers import KeyValue, Packing, attend
from model_core.model import Backbone


def select_rows(buffer: Tensor, rows: np.ndarray) -> Tensor:
    """``buffer[rows]`` for ascending ``rows``: a view where they are neighbours, else a copy."""
    first, last = int(rows[0]), int(rows[-1])
    if last - first + 1 == len(rows):
        return buffer[first : last + 1]
    return buffer.index_select(0, torch.from_numpy(rows).to(buffer.device))


class SlotCache:
    """Keys, values, memories and pending hidden states of a fixed set of slots.

    Attributes:
        lengths: ``(S,)`` positions fed so far.
        filled: ``(S, L)`` how many positions have keys and values at each layer; never grows with
            the layer.
        hidden: ``(S, T, D)`` each position's states after the deepest layer it has run.
    """

    def __init__(
        self, backbone: Backbone, num_slots: int, device: torch.device, dtype: torch.dtype
    ) -> None:
        config = backbone.config
        self._backbone = backbone
        heads = (config.num_heads, config.hidden_size // config.num_heads)
        target = (config.num_decoder_layers, num_slots, config.max_target_tokens, *heads)
        max_memory = config.stem.num_image_tokens + config.max_text_tokens
        memory = (config.num_decoder_layers, num_slots, max_memory, *heads)

        def buffer(*shape: int) -> Tensor:
            return torch.zeros(shape, device=device, dtype=dtype)

        self._self = KeyValue(buffer(*target), buffer(*target))
        self._cross = KeyValue(buffer(*memory), buffer(*memory))
        self._memory = buffer(num_slots, max_memory, config.hidden_size)
        self._memory_lengths = np.zeros(num_slots, dtype=np.int64)
        # Slots that share a memory: each names the one that holds it, itself where it is alone.
        self._memory_owners = np.arange(num_slots)
        self._has_cross = np.zeros((num_slots, config.num_decoder_layers), dtype=bool)
        self.hidden = buffer(num_slots, config.max_target_tokens, config.hidden_size)
        self.lengths = np.zeros(num_slots, dtype=np.int64)
        self.filled = np.zeros((num_slots, config.num_decoder_layers), dtype=np.int64)

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
        self.hidden[self._index(rows), self._index(positions)] = embedded
        self.lengths[rows] += 1

    def pending(self, rows: np.ndarray, layer: int) -> "PendingBlock":
        """The positions of ``rows`` that have not run ``layer`` yet, the newest included."""
        starts = self.filled[rows, layer]
        if layer and (self.filled[rows, layer - 1] < self.lengths[rows]).any():
            raise ValueError(f"layer {layer} would read states that layer {layer - 1} has not run")
        return PendingBlock(rows, starts, self.lengths[rows])

    def read(self, block: "PendingBlock") -> Tensor:
        """``(N, D)`` states of the block's positions, ready to enter its layer."""
        return self.hidden[self._index(block.slots), self._index(block.positions)]

    def store(self, layer: int, block: "PendingBlock", hidden: Tensor) -> None:
        """Keep ``(N, D)`` states after ``layer`` and count the block as filled there."""
        self.hidden[self._index(block.slots), self._index(block.positions)] = hidden
        self.filled[block.rows, layer] = block.stops

    def write(self, layer: int, block: "PendingBlock", key_value: KeyValue) -> None:
        """Write ``(N, H, D/H)`` keys and values of a block at ``layer``.

        Raises:
            ValueError: The block would leave a hole below it, or overwrite what is filled.
        """
        if (self.filled[block.rows, layer] != block.starts).any():
            raise ValueError(f"layer {layer}: a block must start at the first unfilled position")
        where = (self._index(block.slots), self._index(block.positions))
        self._self.key[layer][where] = key_value.key
        self._self.value[layer][where] = key_value.value

    def copy_exit_states(self, rows: np.ndarray, depths: np.ndarray) -> None:
        """Fill the newest position of ``rows`` above its exit from the exit state (approximate).

        Source: arXiv 2207.07061 and 2211.11152: the exit state goes through the key and value
        projections of every deeper layer.
        """
        num_layers = self.filled.shape[1]
        for layer in range(int(depths.min()), num_layers):
            missing = rows[depths <= layer]
            block = PendingBlock(missing, self.filled[missing, layer], self.lengths[missing])
            states = self.read(block)
            self.write(layer, block, self._backbone.self_key_value(layer, states))
            self.filled[missing, layer] = block.stops

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

    def self_key_value(self, layer: int, rows: np.ndarray, length: int) -> KeyValue:
        """``(R, length, H, D/H)`` keys and values of ``rows`` at ``layer``."""
        return KeyValue(*(select_rows(part[layer], rows)[:, :length] for part in self._self))

    def cross_key_value(self, layer: int, rows: np.ndarray) -> KeyValue:
        """``(R, M, H, D/H)`` of the memories at ``layer``, computed on a memory's first visit."""
        first_visit = rows[~self._has_cross[rows, layer]]
        if len(first_visit):
            self._project_memories(layer, np.unique(self._memory_owners[first_visit]))
        length = int(self._memory_lengths[rows].max())
        return KeyValue(*(select_rows(part[layer], rows)[:, :length] for part in self._cross))

    def _project_memories(self, layer: int, owners: np.ndarray) -> None:
        """Compute keys and values once per memory, and keep them for every slot that shares it.

        A copy per slot: reading is then a view for most batches, and beams stay as they are.
        """
        length = int(self._memory_lengths[owners].max())
        memory = select_rows(self._memory, owners)[:, :length]
        computed = self._backbone.memory_key_value(layer, memory)
        sharing = np.flatnonzero(np.isin(self._memory_owners, owners))
        places = self._index(np.searchsorted(owners, self._memory_owners[sharing]))
        index = self._index(sharing)
        for part, value in zip(self._cross, computed, strict=True):
            part[layer, index, :length] = value[places]
        self._has_cross[sharing, layer] = True

    def memory_mask(self, rows: np.ndarray) -> Tensor | None:
        """``(R, M)`` True at each row's own memory; None when all have the same length."""
        lengths = self._memory_lengths[rows]
        longest = int(lengths.max())
        if (lengths == longest).all():
            return None
        mask = torch.from_numpy(np.arange(longest)[None, :] < lengths[:, None])
        return mask.to(self.hidden.device)

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


class PendingBlock:
    """Positions ``starts..stops-1`` of some slots, packed row by row.

    Attributes:
        rows: ``(R,)`` slots, ascending.
        starts: ``(R,)`` first position of each row's block.
        stops: ``(R,)`` one past its last, the newest position.
        slots: ``(N,)`` slot of each packed position.
        positions: ``(N,)``.
    """

    def __init__(self, rows: np.ndarray, starts: np.ndarray, stops: np.ndarray) -> None:
        self.rows, self.starts, self.stops = rows, starts, stops
        self.counts = stops - starts
        self.is_single = bool((self.counts == 1).all())
        if self.is_single:
            self.slots, self.positions = rows, starts
        else:
            self.slots = np.repeat(rows, self.counts)
            ends = np.cumsum(self.counts)
            offsets = np.arange(ends[-1]) - np.repeat(ends - self.counts, self.counts)
            self.positions = np.repeat(starts, self.counts) + offsets

    @property
    def newest(self) -> np.ndarray:
        """``(R,)`` where each row's newest position stands in the packed order."""
        newest: np.ndarray = np.cumsum(self.counts) - 1
        return newest

    def packing(self) -> Packing:
        """Where the packed positions stand in an ``(R, longest block)`` grid."""
        grid = np.arange(self.counts.max())[None, :] < self.counts[:, None]
        return Packing(torch.from_numpy(grid))

    def visible_keys(self) -> Tensor | None:
        """``(R, longest block, T)`` True where a query may look; None when every key is visible."""
        if self.is_single and (self.stops == self.stops[0]).all():
            return None
        queries = self.starts[:, None] + np.arange(self.counts.max())[None, :]
        keys = np.arange(self.stops.max())
        return torch.from_numpy(keys[None, None, :] <= queries[:, :, None])


class BlockContext(NamedTuple):
    """Attention of one pending block: a ``DecoderContext`` over the slots' caches."""

    cache: SlotCache
    block: PendingBlock

    def attend_self(self, layer: int, query: Tensor, key_value: KeyValue) -> Tensor:
        """``(N, H, D/H)``; the block's keys and values are written first."""
        self.cache.write(layer, self.block, key_value)
        rows, longest = self.block.rows, int(self.block.stops.max())
        mask = self.block.visible_keys()
        return self._attend(
            query,
            self.cache.self_key_value(layer, rows, longest),
            None if mask is None else mask.to(query.device),
        )

    def attend_cross(self, layer: int, query: Tensor) -> Tensor:
        """``(N, H, D/H)`` over each row's own memory."""
        rows = self.block.rows
        return self._attend(
            query, self.cache.cross_key_value(layer, rows), self.cache.memory_mask(rows)
        )

    def _attend(self, query: Tensor, key_value: KeyValue, mask: Tensor | None) -> Tensor:
        if self.block.is_single:
            return attend(query.unsqueeze(1), key_value, mask).squeeze(1)
        if len(self.block.rows) == 1:
            return attend(query.unsqueeze(0), key_value, mask).squeeze(0)
        packing = self.block.packing()
        return packing.pack(attend(packing.pad(query), key_value, mask))
