"""Encoder exits of single rows: who leaves where, and that padding does not matter."""

import pytest
import torch
from torch import Tensor

from model_core.encode import EncodedModality, encode_modality
from model_core.policies import (
    ConfidencePolicy,
    FixedDepthPolicy,
    NeverPolicy,
    SimilarityPolicy,
)


def add_one(layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
    """A layer whose effect can be counted."""
    return hidden + 1


def test_rows_leave_at_their_own_depth_with_the_states_of_that_depth() -> None:
    embedded = torch.zeros(3, 2, 4)
    policies = [FixedDepthPolicy(depth=2), NeverPolicy(), FixedDepthPolicy(depth=1)]
    encoded = encode_modality(add_one, 4, embedded, None, policies)
    assert encoded.hidden[:, 0, 0].tolist() == [2.0, 4.0, 1.0]
    assert [trace.depth for trace in encoded.traces] == [2, 4, 1]
    assert encoded.traces[0].scores == (1.0, 2.0)
    assert encoded.traces[0].thresholds == (2.0, 2.0)


def test_a_layer_is_run_only_for_the_rows_still_in_it() -> None:
    sizes = []

    def counting(layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        sizes.append(len(hidden))
        return hidden

    policies = [FixedDepthPolicy(depth=depth) for depth in (1, 3, 3)]
    encode_modality(counting, 4, torch.ones(3, 2, 4), None, policies)
    assert sizes == [3, 2, 2]


def test_similarity_ignores_padding() -> None:
    def spoil_padding(layer: int, hidden: Tensor, mask: Tensor | None) -> Tensor:
        assert mask is not None
        return torch.where(mask.unsqueeze(-1), hidden, torch.full_like(hidden, -5.0))

    mask = torch.tensor([[True, True, False]])
    embedded = torch.ones(1, 3, 4)
    encoded = encode_modality(spoil_padding, 4, embedded, mask, [SimilarityPolicy(threshold=0.999)])
    assert encoded.traces[0].depth == 1
    assert encoded.traces[0].scores == (1.0,)


class CountingHead:
    """Log odds that tell depth and state, and a record of the states read at each depth."""

    def __init__(self) -> None:
        self.read: list[tuple[int, float]] = []

    def features(self, depth: int, states: Tensor) -> Tensor:
        self.read += [(depth, value) for value in states[:, 0, 0].tolist()]
        return states.mean(dim=1)

    def logits(self, depth: int, features: Tensor) -> Tensor:
        return torch.stack([features[:, 0] - 2, torch.full_like(features[:, 0], -9.0)], dim=1)


def first_logits(encoded: EncodedModality) -> list[float | None]:
    return [None if row is None else float(row[0]) for row in encoded.logits]


def test_head_answers_where_a_row_leaves_and_nothing_is_read_twice() -> None:
    head = CountingHead()
    # States grow by one a layer; the confident row is sure enough at state 4, its third depth.
    embedded = torch.tensor([0.5, 1.0, 3.0])[:, None, None].expand(3, 2, 4)
    policies = [FixedDepthPolicy(depth=2), ConfidencePolicy(threshold=0.9), NeverPolicy()]
    encoded = encode_modality(add_one, 4, embedded, None, policies, head)
    assert [trace.depth for trace in encoded.traces] == [2, 3, 4]
    assert first_logits(encoded) == [0.5, 2.0, 5.0]
    assert head.read == [(1, 2.0), (2, 2.5), (2, 3.0), (3, 4.0), (4, 7.0)]


def test_head_is_read_for_the_rows_that_have_it_alone() -> None:
    head = CountingHead()
    embedded = torch.tensor([0.5, 1.0, 3.0])[:, None, None].expand(3, 2, 4)
    policies = [FixedDepthPolicy(depth=2)] * 3
    encoded = encode_modality(add_one, 4, embedded, None, policies, head, [True, False, True])
    assert first_logits(encoded) == [0.5, None, 3.0]
    assert head.read == [(2, 2.5), (2, 5.0)]
    confident = [ConfidencePolicy(threshold=0.5)] * 3
    with pytest.raises(ValueError, match="this exit site has no head"):
        encode_modality(add_one, 4, embedded, None, confident, head, [True, False, True])


def test_without_a_head_there_are_no_logits_and_none_can_be_read() -> None:
    embedded = torch.zeros(1, 2, 4)
    assert encode_modality(add_one, 2, embedded, None, [NeverPolicy()]).logits == (None,)
    with pytest.raises(ValueError, match="this exit site has no head"):
        encode_modality(add_one, 2, embedded, None, [ConfidencePolicy(threshold=0.5)])
