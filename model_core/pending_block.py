"""Which positions of which slots run a layer together, and where they stand in the buffers.

A block serves every layer that runs the same positions, so that what is built of it (index tensors,
masks, the grid of its attention) is built once and not in each of them.
"""

from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from model_core.layers import Packing

MAX_SPAN = 2  # a copied row costs about as much as attending for one more


class RowWindow:
    """The rows of a buffer ``(S, ...)`` that some slots are read from.

    A view where the slots are neighbours or nearly so, the gaps between them included; else a copy
    of the slots alone.

    Attributes:
        num_rows: Rows of the window.
        places: ``(R,)`` where each slot stands in it.
    """

    def __init__(self, rows: np.ndarray, device: torch.device) -> None:
        """The window of ``(R,)`` ascending slots."""
        self._first, self._stop = int(rows[0]), int(rows[-1]) + 1
        span = self._stop - self._first
        self._index: Tensor | None = None
        if span > MAX_SPAN * len(rows):
            self._index = torch.from_numpy(rows).to(device)
            self.num_rows, self.places = len(rows), np.arange(len(rows))
        else:
            self.num_rows, self.places = span, rows - self._first

    @property
    def has_gaps(self) -> bool:
        """True when some rows of the window belong to nobody who asked."""
        return self.num_rows > len(self.places)

    def select(self, buffer: Tensor, length: int) -> Tensor:
        """``(num_rows, length, ...)`` of a buffer ``(S, T, ...)``."""
        if self._index is None:
            return buffer[self._first : self._stop, :length]
        return buffer[:, :length].index_select(0, self._index)


class PendingBlock:
    """Positions ``starts..stops-1`` of some slots, packed row by row.

    Attributes:
        rows: ``(R,)`` slots, ascending.
        starts: ``(R,)`` first position of each row's block.
        stops: ``(R,)`` one past its last, the newest position.
        counts: ``(R,)`` positions of each row.
        is_single: True when every row has one.
        longest: Most positions that any row attends to.
    """

    def __init__(
        self, rows: np.ndarray, starts: np.ndarray, stops: np.ndarray, like: Tensor
    ) -> None:
        """``like`` is the ``(S, T, D)`` buffer of states: its shape, device and dtype count."""
        self.rows, self.starts, self.stops = rows, starts, stops
        self.counts = stops - starts
        self.is_single = bool((self.counts == 1).all())
        self.longest = int(stops.max())
        self._width = like.shape[1]
        self._device, self._dtype = like.device, like.dtype

    @cached_property
    def index(self) -> Tensor:
        """``(N,)`` where the packed positions stand in a buffer ``(S * T, ...)``."""
        first = self.rows * self._width + self.starts
        if self.is_single:
            return self._on_device(first)
        ends = np.cumsum(self.counts)
        offsets = np.arange(ends[-1]) - np.repeat(ends - self.counts, self.counts)
        return self._on_device(np.repeat(first, self.counts) + offsets)

    def newest(self, packed: Tensor) -> Tensor:
        """``(R, ...)`` of ``(N, ...)``: the newest position of each row."""
        return packed if self.is_single else packed.index_select(0, self._newest_index)

    @cached_property
    def _newest_index(self) -> Tensor:
        return self._on_device(np.cumsum(self.counts) - 1)

    @cached_property
    def window(self) -> RowWindow:
        """The rows of the buffers that its attention reads."""
        return RowWindow(self.rows, self._device)

    def spread(self, packed: Tensor) -> Tensor:
        """``(N, ...)`` -> ``(rows of the window, longest row of the block, ...)``."""
        if self._packing is not None:
            return self._packing.pad(packed)
        return packed.unsqueeze(1) if self.is_single else packed.unsqueeze(0)

    def gather(self, grid: Tensor) -> Tensor:
        """``(rows of the window, longest row of the block, ...)`` -> ``(N, ...)``."""
        if self._packing is not None:
            return self._packing.pack(grid)
        return grid.squeeze(1 if self.is_single else 0)

    @cached_property
    def _packing(self) -> Packing | None:
        if not self.window.has_gaps and (self.is_single or len(self.rows) == 1):
            return None
        counts = np.zeros(self.window.num_rows, dtype=np.int64)
        counts[self.window.places] = self.counts
        grid = np.arange(self.counts.max())[None, :] < counts[:, None]
        return Packing(self._on_device(grid))

    @cached_property
    def causal_mask(self) -> Tensor | None:
        """``(rows of the window, longest row of the block, longest)``, added to the scores.

        None when every query may look at every key.
        """
        if self.is_single and (self.stops == self.stops[0]).all():
            return None
        queries = self.starts[:, None] + np.arange(self.counts.max())[None, :]
        return self._added(np.arange(self.longest)[None, None, :] <= queries[:, :, None])

    def length_mask(self, lengths: np.ndarray) -> Tensor | None:
        """``(rows of the window, longest)`` of keys ``(R,)`` long, added to the scores.

        None when all have the same length.
        """
        longest = lengths.max()
        if (lengths == longest).all():
            return None
        return self._added(np.arange(longest)[None, :] < lengths[:, None])

    def _added(self, visible: np.ndarray) -> Tensor:
        # Gaps see everything: a softmax over nothing would be no number.
        added = np.zeros((self.window.num_rows, *visible.shape[1:]))
        added[self.window.places] = np.where(visible, 0.0, -np.inf)
        return torch.from_numpy(added).to(self._device, self._dtype)

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values).to(self._device)
