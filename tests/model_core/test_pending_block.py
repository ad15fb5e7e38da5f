"""Blocks of pending positions by hand: places, windows, masks."""

import numpy as np
import pytest
import torch

from model_core.config import ModelConfig
from model_core.kv_cache import SlotCache
from model_core.layers import KeyValue
from model_core.model import UnifiedModel
from model_core.pending_block import PendingBlock, RowWindow
from model_core.tokenizer import WordPieceTokenizer

CPU = torch.device("cpu")
STATES = torch.arange(8 * 10, dtype=torch.float64).view(8, 10, 1)  # 8 slots of 10 positions


def block(rows: list[int], starts: list[int], stops: list[int]) -> PendingBlock:
    return PendingBlock(np.array(rows), np.array(starts), np.array(stops), STATES)


def test_index_names_each_position_of_each_row() -> None:
    assert block([1, 4], [3, 5], [4, 6]).index.tolist() == [13, 45]
    assert block([1, 4], [3, 5], [5, 8]).index.tolist() == [13, 14, 45, 46, 47]


def test_newest_is_the_last_position_of_each_row() -> None:
    packed = torch.tensor([10, 11, 20, 21, 22])
    assert block([1, 4], [3, 5], [5, 8]).newest(packed).tolist() == [11, 22]
    assert block([1, 4], [3, 5], [4, 6]).newest(packed[:2]).tolist() == [10, 11]


def test_window_of_neighbours_is_a_view() -> None:
    window = RowWindow(np.array([2, 3, 4]), CPU)
    selected = window.select(STATES, 2)
    assert selected[..., 0].tolist() == [[20, 21], [30, 31], [40, 41]]
    assert selected.data_ptr() == STATES[2].data_ptr()
    assert not window.has_gaps


def test_window_keeps_small_gaps_and_copies_over_large_ones() -> None:
    near = RowWindow(np.array([2, 5]), CPU)
    assert near.has_gaps
    assert near.places.tolist() == [0, 3]
    assert near.select(STATES, 1).flatten().tolist() == [20, 30, 40, 50]
    far = RowWindow(np.array([2, 7]), CPU)
    assert not far.has_gaps
    assert far.places.tolist() == [0, 1]
    assert far.select(STATES, 1).flatten().tolist() == [20, 70]


@pytest.mark.parametrize(
    ("rows", "starts", "stops", "grid"),
    [
        ([2, 3], [4, 4], [5, 5], [[0], [1]]),
        ([2], [3], [5], [[0, 1]]),
        ([2, 3], [4, 3], [5, 5], [[0, -1], [1, 2]]),
        ([2, 4], [4, 3], [5, 5], [[0, -1], [-1, -1], [1, 2]]),
    ],
    ids=["single", "one row", "uneven", "gap"],
)
def test_packed_tokens_are_spread_by_row_and_gathered_again(
    rows: list[int], starts: list[int], stops: list[int], grid: list[list[int]]
) -> None:
    pending = block(rows, starts, stops)
    packed = torch.arange(sum(pending.counts))
    spread = pending.spread(packed + 1)  # padding is zero
    assert (spread - 1).tolist() == grid
    assert pending.gather(spread - 1).tolist() == packed.tolist()


def test_causal_mask_hides_what_comes_later() -> None:
    hidden = -np.inf
    assert block([2, 3], [4, 4], [5, 5]).causal_mask is None
    uneven = block([2, 3], [1, 1], [2, 3]).causal_mask
    assert uneven is not None
    # The first row has one query, at position 1; the second has two, at 1 and 2.
    assert uneven.tolist() == [
        [[0, 0, hidden], [0, 0, 0]],
        [[0, 0, hidden], [0, 0, 0]],
    ]
    lengths = block([2, 4], [0, 2], [1, 3]).causal_mask
    assert lengths is not None
    assert lengths.tolist() == [[[0, hidden, hidden]], [[0, 0, 0]], [[0, 0, 0]]]


def test_length_mask_hides_what_lies_behind_a_memory() -> None:
    pending = block([2, 4], [0, 0], [1, 1])
    assert pending.length_mask(np.array([2, 2])) is None
    mask = pending.length_mask(np.array([1, 2]))
    assert mask is not None
    assert mask.tolist() == [[0, -np.inf], [0, 0], [0, 0]]


@pytest.fixture
def cache(tiny_config: ModelConfig, tokenizer: WordPieceTokenizer) -> SlotCache:
    model = UnifiedModel(tiny_config, tokenizer.vocabulary_size)
    return SlotCache(model, 3, CPU, torch.float32)


def test_a_block_serves_every_layer_that_runs_the_same_positions(cache: SlotCache) -> None:
    rows = np.array([0, 2])
    cache.append(rows, torch.zeros(2, 8))
    first = cache.pending(rows, 0)
    cache.mark_filled(0, first)
    assert cache.pending(rows, 1, first) is first
    cache.append(rows, torch.zeros(2, 8))
    second = cache.pending(rows, 0)
    cache.mark_filled(0, second)
    catching_up = cache.pending(rows, 1, second)
    assert catching_up is not second
    assert catching_up.starts.tolist() == [0, 0]


def test_a_hole_is_refused(cache: SlotCache) -> None:
    rows = np.array([1])
    cache.append(rows, torch.zeros(1, 8))
    with pytest.raises(ValueError, match="layer 1 would read states that layer 0 has not run"):
        cache.pending(rows, 1)
    late = PendingBlock(rows, np.array([1]), np.array([2]), cache.hidden)
    nothing = torch.zeros(1, 2, 4)
    with pytest.raises(ValueError, match="must start at the first unfilled position"):
        cache.write(0, late, KeyValue(nothing, nothing))
